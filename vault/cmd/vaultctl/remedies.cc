#include "vault/cmd/vaultctl/remedies.h"

#include <cstddef>

namespace vault::ctl {
namespace {

struct Remedy {
  const char* key;
  const char* text;
};

constexpr Remedy kOfReasons[] = {
    {"TRANSFER_TO_SUPERVISOR",
     "hand the call to a supervisor (上席者に転送してください); nothing else can be told here"},
    {"MY_NUMBER", "take the My Number (個人番号) out: the vault does not store it"},
    {"UNKNOWN_FIELD", "vaultctl whoami names the fields"},
    {"INVALID_UTF8", "convert the text to UTF-8 first"},
    {"PAGE_TOKEN", "begin the listing again"},
    {"REQUEST_ID_REUSED",
     "this --request-id was used for another change; leave it out to "
     "get a new one"},
    {"REQUEST_IDS", "a caller sends each change anew under another request_id? See the trail"},
    {"REQUEST_ID_ERASED",
     "what this --request-id stored was erased since; to store the person anew, take a new one"},
    {"ETAG_MISMATCH", "somebody changed it: get the resident again, look, repeat with its etag"},
    {"CONFLICT", "try again"},
    {"RECHECK", "try again"},
    {"STOPPING", "try again when the vault runs again"},
    {"REFUSALS", "too many refused calls; what was asked is in the trail"},
    {"ATTEMPTS",
     "your role may ask so often for what it cannot see, and no more; what was asked is in the "
     "trail"},
    {"TOO_MANY_STREAMS", "end one of those that you have open, or wait"},
    {"QUEUE_FULL", "the vault is busy; try again"},
    {"MEMORY_FULL", "the vault holds as much of calls under way as it may; try again"},
    {"DISK_FULL",
     "the operator of the vault makes room on the disk of its data folder; it goes on by itself "
     "then"},
    {"NO_ROOM",
     "make room in the folder of the backups, vaultctl backup delete N removes an old one, and ask "
     "again"},
    {"CLOCK_JUMP",
     "the operator of the vault sets its machine's clock right (chronyc makestep), and it goes on "
     "by itself; where the new time is the true one, the operator restarts it"},
    {"AUDIT_UNAVAILABLE",
     "the trail cannot be written, so nothing is disclosed; tell the "
     "operator of the vault"},
    {"SEALED", "the vault is sealed; the security officer opens it: vaultctl unseal"},
    {"CANNOT_UNSEAL", "it stays sealed; its log of messages says why"},
    {"KEY_GONE",
     "the record's key is not in the keyring: it was destroyed, or the keyring is not this one's"},
    {"OFFBOARDED", "the municipality's keys are destroyed: nothing of it can be read any more"},
    {"NO_KEYS", "its keys are made when the vault starts; the vault's log says why they were not"},
    {"CERTIFICATE_DENIED",
     "the operator of the vault has this certificate on the deny list, the file of vaultd "
     "--deny_list: ask for a new one; a line that stands there by mistake is taken out, which "
     "holds from the next call on"},
    {"TOKEN_MALFORMED",
     "that is no token as the vault takes them: one signed JWT, sent once; get a new one from the "
     "identity provider"},
    {"TOKEN_TOO_LONG", "a token has at most 8 KiB: have the identity provider put less into it"},
    {"TOKEN_ALGORITHM",
     "the identity provider signs with RS256, PS256 or ES256, as its key says; a token of another "
     "kind was not made for this vault"},
    {"TOKEN_KEY",
     "get a new token; if that is refused too, the operator of the vault puts the identity "
     "provider's present keys into the file of the issuer in vaultd --jwks_dir, and its log says "
     "what is wrong with it"},
    {"TOKEN_SIGNATURE",
     "the token was changed, or signed by somebody else: get a new one, and report it where that "
     "is not what you expect"},
    {"TOKEN_ISSUER",
     "the token is of an identity provider that the subjects' file of the vault does not name"},
    {"TOKEN_AUDIENCE",
     "the token was made for another service: ask for one for this vault's audience"},
    {"TOKEN_SUBJECT",
     "the identity provider names you as nobody that it may name here; ask who manages it"},
    {"TOKEN_SERVICE",
     "a token goes with the certificate of the service that it was issued to, and that may speak "
     "for you: is the right profile used?"},
    {"TOKEN_LIFETIME",
     "the identity provider's tokens last longer than the vault lets them, or have no times; ask "
     "who manages it"},
    {"TOKEN_EXPIRED", "get a new token"},
    {"TOKEN_NOT_YET_VALID",
     "wait a moment; if that does not help, are the clocks right, the identity provider's and the "
     "vault's?"},
    {"CERTIFICATE_EXPIRED",
     "ask for a new certificate and name its files in the profile; if it should hold, are the "
     "clocks of this machine and of the vault's right?"},
    {"ALREADY_PROPOSED",
     "vaultctl approvals show ID shows it, approvals withdraw ID takes it back"},
    {"EFFECT_CHANGED", "vaultctl approvals show ID shows what it would do now"},
    {"TOO_MANY_OPEN", "vaultctl approvals list shows them: decide on some, or withdraw some"},
    {"SAME_PERSON", "somebody else decides than who proposed it"},
    {"EXPIRED", "propose it again"},
    {"NOT_OPEN", "approvals show says what became of it"},
    {"NOT_EMPTY", "keys rotate moves what is left; keys status counts it"},
    {"STILL_ACTIVE", "keys rotate first; the version before it can be destroyed then"},
    {"NO_NEWER_BACKUP", "make one first that does not need the key: vaultctl backup create"},
    {"NO_NEXT_ROOT_KEY", "vaultd --create_root_key=FILE.next beside the root key's file"},
    {"NOTHING_TO_PRUNE", "entries go in whole bundles of 256, and the newest one never"},
    {"FOLDER",
     "the folder of the vault's backups or keyring copies is not mounted, or is another vault's; "
     "the operator of the vault mounts it, and the same call goes on; one that is to become it is "
     "adopted on the stopped vault: vaultd --adopt_folders"},
    {"BACKUPS",
     "the operator of the vault sees in its log which file of the backups' folder it is, and mends "
     "the folder; ask again then"},
    {"BACKUP_DAMAGED",
     "vaultctl backup list names what is damaged; make a new one, and put its files right or "
     "delete it: vaultctl backup create, backup delete N"},
    {"KEY_DESTROYED",
     "nothing opens it any more: vaultctl backup delete N takes it off the list; where no other is "
     "whole, vaultctl backup create first"},
    {"BAD_NEXT_ROOT_KEY",
     "the operator of the vault sees in its log what is wrong with ROOT.next (its mode, its owner, "
     "its form)"},
    {"KEYRING",
     "the operator of the vault gives room and rights beside its keyring, and its log says which "
     "file it is; ask for the same again then, and it goes on"},
    {"KEY_FILES",
     "the operator of the vault sees in its log which file of keyring or copies it is, and gives "
     "room and rights; ask again then"},
    {"LOG_KEY", "nothing was changed; the operator of the vault mends what its log names"},
    {"ROOT_KEY_FILE",
     "the operator of the vault mends the folder of the root key's file and leaves the file .next "
     "where it is: the next start, or unseal, puts it in place"},
    {"NO_BACKUPS", "this vault has no folder for backups: vaultd --backup_dir"},
    {"LEFT_IN_PROGRAMME", "stop what stores residents of this programme, then retire again"},
    {"KEK_COMPROMISED",
     "the KEK's own rotation ended before another version took over: mark it again with keys "
     "compromised"},
    {"NOT_RUNNING", "jobs show says how it ended"},
    {"NOT_CANCELLABLE", "what it has begun must be finished"},
    {"NO_RATE", "a job of this kind has no rate: it takes what it needs"},
    {"SEAT_SUSPENDED", "two people let it go on: vaultctl seats resume; or seats revoke it first"},
    {"SEAT_NOT_SUSPENDED",
     "vaultctl seats show SUBJECT says what it is: only what is suspended goes on"},
    {"SEAT_REVOKED", "only a new roster gives it back: vaultctl seats import"},
    {"SEAT_ENDED", "give a later end: seats extend --until, or a new roster"},
    {"PROPOSER_NO_RIGHT", "somebody who may must propose it again"},
    {"OTHER_PROGRAMME", "somebody of that programme approves it"},
    {"SEAT_NOT_LONGER",
     "vaultctl seats show SUBJECT shows its end: give a later --until; an earlier end is a new "
     "roster, or seats revoke"},
    {"SEPARATION_OF_DUTIES",
     "whoever has such a duty in this vault has no seat: give the seat to somebody else"},
    {"TWO_ROLES", "one person has one role in a programme: leave one of the rows out"},
    {"OWN_SEAT", "somebody else proposes, and somebody else approves: nobody gives himself a seat"},
    {"DOUBLE_SEAT", "name each person once a programme: several hours stand in one shift, with ;"},
    {"NO_PROGRAMME",
     "the municipality has no such programme any more: take its seats out and propose the rest"},
    {"NO_ROLE", "no seat may name this role any more: propose it with another role"},
};

constexpr Remedy kOfRules[] = {
    {"field.withheld",
     "without --fields the answer holds what your role may have and names what is withheld"},
    {"field.search", "your role may not search by this field"},
    {"field.change", "your role may not change this field"},
    {"tenant.bound", "your certificate is not bound to this municipality"},
    {"role.action", "your role does not do this"},
    {"programme.bound", "the municipality has no such programme, or your role is not in it"},
    {"programme.required", "you work in several: --programme vaccination"},
    {"purpose.required", "say why: --purpose vaccination_booking"},
    {"purpose.role", "your role does not work for this --purpose"},
    {"contact.required", "say for which call or batch: --contact C-1001"},
    {"contact.pattern",
     "--contact is an opaque reference such as C-1001, never a telephone or a name"},
    {"reason.required",
     "your role has this with a reason: --reason identity_check, read_back, mailing or "
     "supervision"},
    {"reason.unknown", "--reason is a code: identity_check, read_back, mailing, supervision"},
    {"subject.unknown", "the certificate's subject has no role in this vault"},
    {"seat.ended",
     "your seat is over (席の期間が終わりました); your manager proposes an extension, and another "
     "approves it"},
    {"seat.not_begun", "your seat has not begun (席の期間前です): wait for its beginning"},
    {"seat.shift",
     "it is outside your hours (時間外です); your manager changes them with a roster"},
    {"seat.suspended",
     "your seat was stopped (席は停止中です); ask your manager, two people let it go on"},
    {"seat.revoked", "your seat was taken back (席は取り消されました); ask your manager"},
    {"seat.untrained",
     "the programme wants a training first (研修が必要です); your manager enters its day in a "
     "roster"},
    {"seat.two_roles", "the subjects' file gives you a role there already; one of them must go"},
    {"seat.role", "no seat may name your role any more; ask your manager for another"},
    {"seat.damaged", "the row of the seat cannot be read; tell the operator of the vault"},
    {"separation.duties", "whoever has another duty in this vault has no seat"},
    {"service.bound",
     "this service may not act for this person or municipality; the operator of the vault sees "
     "what it is bound to"},
    {"token.expired", "sign in again: the token behind the call is over"},
    {"approval.own_seat", "it is about a seat of your own: somebody else approves it"},
};

template <size_t N>
absl::string_view Find(const Remedy (&remedies)[N], absl::string_view key) {
  for (const Remedy& remedy : remedies) {
    if (key == remedy.key) return remedy.text;
  }
  return "";
}

}  // namespace

absl::string_view RemedyFor(absl::string_view reason, absl::string_view rule) {
  const absl::string_view remedy = Find(kOfReasons, reason);
  return remedy.empty() ? Find(kOfRules, rule) : remedy;
}

}  // namespace vault::ctl
