#include "vault/base/stop.h"

#include "vault/base/status.h"

namespace vault {

absl::Status StoppingStatus() {
  return Reason(absl::UnavailableError("the service is stopping"), "STOPPING");
}

}  // namespace vault
