// Names for threads, as top -H, gdb and perf show them.
#ifndef VAULT_BASE_THREAD_NAME_H_
#define VAULT_BASE_THREAD_NAME_H_

#include <pthread.h>

namespace vault {

// At most 15 characters; a longer name is not taken.
inline void NameThisThread(const char* name) { (void)pthread_setname_np(pthread_self(), name); }

}  // namespace vault

#endif  // VAULT_BASE_THREAD_NAME_H_
