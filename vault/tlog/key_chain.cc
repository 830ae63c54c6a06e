#include "vault/tlog/key_chain.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::tlog {
namespace {

constexpr uint64_t kNoEnd = UINT64_MAX;

std::string RangeText(const KeyChain::Link& link) {
  if (link.first > link.last) return "no size at all";
  if (link.last == kNoEnd) return absl::StrCat("sizes from ", link.first, " on");
  return absl::StrCat("sizes from ", link.first, " to ", link.last);
}

// Under the file's name.
absl::Status Broken(size_t number, absl::string_view problem) {
  return absl::DataLossError(absl::StrCat("handover/", number, ": ", problem));
}

}  // namespace

absl::StatusOr<KeyChain> KeyChain::Build(absl::string_view origin,
                                         const std::vector<VerifierKey>& given,
                                         const absl::optional<VerifierKey>& service_key,
                                         const std::vector<std::string>& handovers) {
  VAULT_CHECK(!given.empty());
  KeyChain chain;
  if (handovers.empty()) chain.links_.push_back({given[0], 0, kNoEnd});
  for (const std::string& bytes : handovers) {
    RETURN_IF_ERROR(chain.Append(origin, bytes, service_key));
  }
  for (const VerifierKey& key : given) {
    auto link = std::find_if(chain.links_.begin(), chain.links_.end(),
                             [&](const Link& other) { return other.key == key; });
    if (link == chain.links_.end()) {
      return absl::DataLossError(
          handovers.empty()
              ? "handover/1: missing, and without handovers several keys of one log have no ranges"
              : absl::StrCat("handover: none of them names the key ", key.Format()));
    }
    link->given = true;
  }
  chain.Trust();
  return chain;
}

absl::Status KeyChain::Append(absl::string_view origin, const std::string& bytes,
                              const absl::optional<VerifierKey>& service_key) {
  const size_t number = handovers_.size() + 1;
  absl::StatusOr<Handover> handover = VerifyHandover(bytes, nullptr);
  if (!handover.ok()) return Broken(number, handover.status().message());
  if (handover->origin != origin) return Broken(number, "it is another log's");
  if (links_.empty()) {
    links_.push_back({handover->old_key, 0, kNoEnd});
  } else if (!(handover->old_key == links_.back().key)) {
    return Broken(number, "the key that it ends is not the one that signed last");
  } else if (handover->size < handovers_.back().size) {
    return Broken(number, "it speaks of a smaller tree than the one before");
  }
  for (const Link& link : links_) {
    if (link.key.id() == handover->new_key.id()) return Broken(number, "a key comes back");
  }
  bool leads_on = !handover->compromised;
  if (handover->compromised && service_key.has_value()) {
    ASSIGN_OR_RETURN(const Note note, ParseNote(bytes));
    const absl::Status signature = VerifyNote(note, *service_key);
    if (absl::IsDataLoss(signature)) return Broken(number, signature.message());
    leads_on = VerifyHandover(bytes, &*service_key).ok();
  }
  links_.back().last = handover->size;
  links_.push_back({handover->new_key, handover->size + 1, kNoEnd});
  handovers_.push_back(std::move(handover).value());
  leads_on_.push_back(leads_on);
  return absl::OkStatus();
}

void KeyChain::Trust() {
  for (Link& link : links_) link.trusted = link.given;
  for (size_t i = 0; i + 1 < links_.size(); ++i) {
    links_[i + 1].trusted |= links_[i].trusted && leads_on_[i];
  }
  for (size_t i = links_.size() - 1; i-- > 0;) links_[i].trusted |= links_[i + 1].trusted;
}

absl::StatusOr<KeyChain::Link> KeyChain::Verify(const Note& note, uint64_t size) const {
  const Link* wanted = nullptr;
  const Link* signer = nullptr;
  for (const Link& link : links_) {
    if (link.first <= size && size <= link.last) wanted = &link;
    const absl::Status signature = VerifyNote(note, link.key);
    if (absl::IsDataLoss(signature)) return signature;
    // Of several signatures the wanted key's is the one that counts.
    if (signature.ok() && (signer == nullptr || &link == wanted)) signer = &link;
  }
  VAULT_CHECK(wanted != nullptr) << "the ranges leave no size out";
  if (signer == nullptr) {
    return absl::DataLossError("no signature by a key of this log that you trust");
  }
  if (signer != wanted) {
    return absl::DataLossError(absl::StrCat("size ", size, " is signed by a key that signs ",
                                            RangeText(*signer), ": ", signer->key.Format()));
  }
  if (!wanted->trusted) {
    return absl::DataLossError(absl::StrCat(
        "signed by a key that follows a compromised one, for which neither the service log's key "
        "nor you vouch: ",
        wanted->key.Format()));
  }
  return *wanted;
}

absl::StatusOr<KeyChain::Link> KeyChain::VerifyRemoval(
    const Note& note, uint64_t size, const absl::optional<VerifierKey>& service_key) const {
  ASSIGN_OR_RETURN(Link signer, Verify(note, size));
  size_t at = 0;
  while (!(links_[at].key == signer.key)) ++at;
  if (!Compromised(at)) return signer;
  for (size_t i = at + 1; i < links_.size(); ++i) {
    const bool vouches = links_[i].trusted && !Compromised(i);
    if (vouches && VerifyNote(note, links_[i].key).ok()) return signer;
  }
  if (service_key.has_value()) {
    const absl::Status signature = VerifyNote(note, *service_key);
    if (absl::IsDataLoss(signature)) return signature;
    // Under the service log's name a key of this chain would vouch for itself.
    const bool other = std::none_of(links_.begin(), links_.end(), [&](const Link& link) {
      return link.key.key == service_key->key;
    });
    if (signature.ok() && other) return signer;
  }
  return absl::DataLossError(absl::StrCat(
      "signed by a key that is said to be compromised, and neither by a later key of this log nor "
      "by the service log's: ",
      signer.key.Format()));
}

std::vector<std::string> KeyChain::Notices() const {
  std::vector<std::string> notices;
  // A key with a given one behind it is vouched for from both sides.
  size_t last_given = 0;
  for (size_t i = 0; i < links_.size(); ++i) {
    if (links_[i].given) last_given = i;
  }
  for (size_t i = 0; i < handovers_.size(); ++i) {
    const Link& older = links_[i];
    const Link& newer = links_[i + 1];
    if (handovers_[i].compromised) {
      notices.push_back(absl::StrCat("handover/", i + 1, ": the key up to size ", older.last,
                                     " is said to be compromised: ", older.key.Format()));
    }
    if (newer.trusted && i + 1 > last_given) {
      notices.push_back(absl::StrCat("handover/", i + 1,
                                     ": the log went over to a key that you did ", "not name, for ",
                                     RangeText(newer), ": ", newer.key.Format()));
    }
  }
  return notices;
}

}  // namespace vault::tlog
