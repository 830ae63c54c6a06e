#include "vault/rpc/frames.h"

#include <algorithm>
#include <cstring>

#include "vault/base/bytes.h"

namespace vault::rpc {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113, 6.
constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kContinuation = 9;
constexpr uint8_t kEndStream = 0x1, kEndHeaders = 0x4;

}  // namespace

bool FrameCutter::Next(absl::string_view* bytes, FrameHead* head) {
  const size_t skipped = std::min(payload_left_, bytes->size());
  payload_left_ -= skipped;
  bytes->remove_prefix(skipped);
  const size_t taken = std::min(kHeadSize - have_, bytes->size());
  std::memcpy(head_ + have_, bytes->data(), taken);
  have_ += taken;
  bytes->remove_prefix(taken);
  if (have_ < kHeadSize) return false;
  have_ = 0;
  const absl::string_view head_bytes(reinterpret_cast<const char*>(head_), kHeadSize);
  head->length = ReadU24(head_bytes);
  head->type = head_[3];
  head->flags = head_[4];
  head->stream = ReadU32(head_bytes.substr(5)) & 0x7fffffff;
  payload_left_ = head->length;
  return true;
}

bool ClientFrames::Feed(absl::string_view bytes, ClientTally* tally) {
  if (broken_ || !TakePreface(&bytes)) {
    broken_ = true;
    return false;
  }
  FrameHead head;
  while (cutter_.Next(&bytes, &head)) {
    if (!OnFrame(head, tally)) {
      broken_ = true;
      return false;
    }
  }
  return true;
}

bool ClientFrames::TakePreface(absl::string_view* bytes) {
  const size_t taken = std::min(kPreface.size() - preface_have_, bytes->size());
  if (bytes->substr(0, taken) != kPreface.substr(preface_have_, taken)) return false;
  preface_have_ += taken;
  bytes->remove_prefix(taken);
  return true;
}

bool ClientFrames::OnFrame(const FrameHead& head, ClientTally* tally) {
  if (head.type != kData && head.length > kFrameBytesMax) return false;
  // Between the parts of a header block nothing else may stand.
  if ((block_stream_ != 0) != (head.type == kContinuation)) return false;
  if (head.type == kHeaders || head.type == kContinuation) {
    if (head.type == kHeaders && head.stream > last_stream_) {
      last_stream_ = head.stream;
      ++tally->opened;
    } else {
      ++tally->idle;
    }
    return OnHeaders(head);
  }
  if (head.type != kData || head.length < kSmallData) ++tally->idle;
  return true;
}

bool ClientFrames::OnHeaders(const FrameHead& head) {
  if (head.stream == 0) return false;
  if (head.type == kHeaders) {
    block_stream_ = head.stream;
    block_bytes_ = block_continuations_ = 0;
  } else if (head.stream != block_stream_ || ++block_continuations_ > kContinuationsMax) {
    return false;
  }
  block_bytes_ += head.length;
  if (block_bytes_ > kHeaderBytesMax) return false;
  if ((head.flags & kEndHeaders) != 0) block_stream_ = 0;
  return true;
}

void ServerFrames::Feed(absl::string_view bytes, ServerTally* tally) {
  FrameHead head;
  while (cutter_.Next(&bytes, &head)) {
    if (head.type == kReset && head.stream != 0 && head.stream == last_answered_) {
      --tally->answered;
      last_answered_ = 0;
    }
    if (head.type != kHeaders && head.type != kData) continue;
    ++tally->sent;
    if (head.type == kHeaders && (head.flags & kEndStream) != 0) {
      ++tally->answered;
      last_answered_ = head.stream;
    }
  }
}

}  // namespace vault::rpc
