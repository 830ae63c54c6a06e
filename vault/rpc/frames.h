// What the bytes of an HTTP/2 connection amount to, without reading what they carry: how many calls
// a caller opens, how many frames it sends that carry nothing, how large its headers grow before
// they end, and how many calls the server answers. gRPC 1.51 holds none of these to a bound; what
// charges them is ConnectionGuard.
//
//   ClientFrames frames;
//   ClientTally tally;
//   if (!frames.Feed(bytes, &tally)) …  // the connection must end
//
// Pure: only frame heads are looked at (RFC 9113, 4.1), nothing is kept of what they carry.
#ifndef VAULT_RPC_FRAMES_H_
#define VAULT_RPC_FRAMES_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace vault::rpc {

struct FrameHead {
  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
};

// Cuts a stream of bytes into frames, however the bytes are divided.
class FrameCutter {
 public:
  static constexpr size_t kHeadSize = 9;

  // Takes bytes off `*bytes` up to the end of the next head; false where they end before it.
  bool Next(absl::string_view* bytes, FrameHead* head);

 private:
  uint8_t head_[kHeadSize] = {};
  size_t have_ = 0;
  size_t payload_left_ = 0;
};

struct ClientTally {
  uint32_t opened = 0;  // streams
  // Frames that ask for work and bring nothing: everything but a call's opening and DATA of some
  // size.
  uint32_t idle = 0;
};

// What one client sends, its preface first. Not thread-safe.
class ClientFrames {
 public:
  // gRPC takes 8 KiB of metadata; what is longer than this is never ended.
  static constexpr uint32_t kHeaderBytesMax = 32 << 10;
  // A client divides its headers where they exceed a frame, 16 KiB, and nowhere else.
  static constexpr uint32_t kContinuationsMax = 4;
  // The frame size that every peer must take (RFC 9113, 4.2). DATA may be larger where gRPC says
  // so; it is bounded by the windows.
  static constexpr uint32_t kFrameBytesMax = 16 << 10;
  static constexpr uint32_t kSmallData = 32;

  // Adds to `*tally`. False, and for ever, where it is no HTTP/2 (no preface, headers that are
  // interrupted) or exceeds a bound above.
  bool Feed(absl::string_view bytes, ClientTally* tally);

 private:
  bool TakePreface(absl::string_view* bytes);
  bool OnFrame(const FrameHead& head, ClientTally* tally);
  bool OnHeaders(const FrameHead& head);

  FrameCutter cutter_;
  bool broken_ = false;
  size_t preface_have_ = 0;
  uint32_t last_stream_ = 0;
  // While a header block has no end: its stream, how long it is, in how many further frames.
  uint32_t block_stream_ = 0;
  uint32_t block_bytes_ = 0;
  uint32_t block_continuations_ = 0;
};

struct ServerTally {
  // Streams that the server ended in order. A stream that it resets after that does not count: so
  // gRPC ends a call that its caller gave up. What an earlier tally counted may be taken back.
  int32_t answered = 0;
  uint32_t sent = 0;  // frames of headers or data
};

// What the server sends. Not thread-safe.
class ServerFrames {
 public:
  void Feed(absl::string_view bytes, ServerTally* tally);

 private:
  FrameCutter cutter_;
  uint32_t last_answered_ = 0;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_FRAMES_H_
