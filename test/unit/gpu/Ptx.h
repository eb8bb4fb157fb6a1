//===- Ptx.h - the text of PTX, parsed --------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_PTX_H
#define DEEPSHARD_TEST_UNIT_GPU_PTX_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace deepshard::ptx {

/// A type of PTX: .f32, .u64, .bf16x2, .pred, ...
struct Type {
  enum Kind { Bits, Unsigned, Signed, Float, BFloat, Predicate } kind = Bits;
  uint32_t bits = 0; // of one element
  uint32_t elements = 1;

  uint32_t bytes() const { return bits * elements / 8; }
};

struct Operand {
  enum Kind { Register, Immediate, Special, Shared, Parameter, Vector, Address, Ignored } kind;
  uint32_t number = 0;        // of a register, a special register or a parameter
  uint64_t value = 0;         // of an immediate; offset of an address or in shared memory
  std::vector<Operand> parts; // of a vector; of an address: the base
};

enum class Special { ThreadX, BlockX, BlockY, ThreadsX, BlocksX, Zero };

struct Instruction {
  std::vector<std::string> name; // "ld", "global", "v4", "b32"
  Type type, from;               // the last type; of a conversion, that of the operand
  std::vector<Operand> operands;
  int32_t predicate = -1; // a register; -1: none
  bool isNegated = false;
  uint32_t target = 0; // of a branch
  std::string text;

  std::string_view opcode() const { return name[0]; }
  bool has(std::string_view part) const;
};

struct Function {
  std::vector<Instruction> body;
  std::vector<std::string> parameters;
  uint32_t registers = 0, sharedBytes = 0;
  uint32_t threads = 0; // .maxntid
};

/// The kernels of a text. Throws std::runtime_error at what it does not know.
std::map<std::string, Function> parse(const std::string &text);

} // namespace deepshard::ptx

#endif // DEEPSHARD_TEST_UNIT_GPU_PTX_H
