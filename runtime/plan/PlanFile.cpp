//===- PlanFile.cpp - the file around a plan --------------------------------------------------===//

#include "runtime/plan/PlanFile.h"

#include "runtime/plan/Error.h"
#include "runtime/plan/File.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace deepshard::runtime {

namespace {

// A byte that is not ASCII keeps text tools away.
constexpr std::array<unsigned char, 8> kMagic = {0x89, 'D', 'S', 'P', 'L', 'A', 'N', '\n'};
constexpr size_t kVersionAt = 8;
constexpr size_t kReservedAt = 12;
constexpr size_t kLengthAt = 16;
constexpr size_t kChecksumAt = 24;
constexpr size_t kHeaderBytes = 32;
/// What protobuf can parse.
constexpr uint64_t kMostPayloadBytes = std::numeric_limits<int32_t>::max();

using Header = std::array<unsigned char, kHeaderBytes>;

void putLittleEndian(Header &header, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i)
    header[at + i] = static_cast<unsigned char>(value >> (8 * i));
}

uint64_t getLittleEndian(const Header &header, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= uint64_t{header[at + i]} << (8 * i);
  return value;
}

/// XXH3-64 over the header before the checksum, then the payload.
uint64_t checksumOf(const Header &header, const std::string &payload) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, header.data(), kChecksumAt);
  XXH3_64bits_update(&state, payload.data(), payload.size());
  return XXH3_64bits_digest(&state);
}

/// Equal plans give equal bytes: maps are written in the order of their keys.
bool serialise(const planpb::Plan &plan, std::string &payload) {
  google::protobuf::io::StringOutputStream stream(&payload);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  return plan.SerializeToCodedStream(&coded);
}

} // namespace

void writePlan(const planpb::Plan &plan, const std::string &path) {
  planpb::Plan versioned = plan;
  versioned.set_format_version(kPlanFormatVersion);
  std::string payload;
  if (versioned.ByteSizeLong() > kMostPayloadBytes || !serialise(versioned, payload))
    throw Error(fmt::format("{}: the plan takes {} bytes, more than the {} that a plan may have",
                            path, versioned.ByteSizeLong(), kMostPayloadBytes));
  Header header = {};
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  putLittleEndian(header, kVersionAt, kPlanFormatVersion, 4);
  putLittleEndian(header, kReservedAt, 0, 4);
  putLittleEndian(header, kLengthAt, payload.size(), 8);
  putLittleEndian(header, kChecksumAt, checksumOf(header, payload), 8);
  OutputFile file(path);
  file.write(header.data(), header.size());
  file.write(payload.data(), payload.size());
  file.commit();
}

planpb::Plan readPlan(const std::string &path) {
  InputFile file(path);
  Header header = {};
  size_t present = static_cast<size_t>(std::min<uint64_t>(file.size(), kHeaderBytes));
  file.read(0, header.data(), present);
  size_t magicBytes = std::min(present, kMagic.size());
  if (present == 0 || std::memcmp(header.data(), kMagic.data(), magicBytes) != 0)
    throw Error(fmt::format("{}: is not a plan (ds-opt writes plans)", path));
  if (present < kHeaderBytes)
    throw Error(fmt::format("{}: the plan is truncated: {} bytes of {} of its header are there; "
                            "copy it again or run ds-opt again",
                            path, present, kHeaderBytes));
  uint64_t version = getLittleEndian(header, kVersionAt, 4);
  if (version != kPlanFormatVersion)
    throw Error(fmt::format("{}: the plan has format version {}, this ds-run reads version {}; use "
                            "ds-opt and ds-run of one release",
                            path, version, kPlanFormatVersion));
  uint64_t length = getLittleEndian(header, kLengthAt, 8);
  uint64_t rest = file.size() - kHeaderBytes;
  if (rest < length)
    throw Error(fmt::format("{}: the plan is truncated: {} bytes of {} are there; copy it again or "
                            "run ds-opt again",
                            path, rest, length));
  if (rest > length || length > kMostPayloadBytes)
    throw Error(fmt::format("{}: the plan is damaged: {} bytes follow its header, {} were "
                            "expected; copy it again or run ds-opt again",
                            path, rest, length));
  std::string payload(length, '\0');
  file.read(kHeaderBytes, payload.data(), payload.size());
  if (checksumOf(header, payload) != getLittleEndian(header, kChecksumAt, 8))
    throw Error(fmt::format("{}: the plan is damaged: its checksum does not match; copy it again "
                            "or run ds-opt again",
                            path));
  planpb::Plan plan;
  if (!plan.ParseFromString(payload) || plan.format_version() != kPlanFormatVersion)
    throw Error(fmt::format("{}: the plan's content does not follow format version {}", path,
                            kPlanFormatVersion));
  return plan;
}

} // namespace deepshard::runtime
