// What a thread says of itself to the system.
#ifndef VAULT_BASE_THREAD_H_
#define VAULT_BASE_THREAD_H_

#include <pthread.h>
#include <sys/resource.h>

namespace vault {

// As top -H, gdb and perf show it. At most 15 characters; a longer name is not taken.
inline void NameThisThread(const char* name) { (void)pthread_setname_np(pthread_self(), name); }

// For work that may wait while calls do not: a tenth of the processor where threads of the usual
// priority want it too. Linux keeps the nice value per thread (setpriority(2), "C library/kernel
// differences").
inline void LowerThisThread() { (void)setpriority(PRIO_PROCESS, 0, 10); }

}  // namespace vault

#endif  // VAULT_BASE_THREAD_H_
