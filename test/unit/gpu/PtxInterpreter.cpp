//===- PtxInterpreter.cpp - PTX, run step by step ---------------------------------------------===//
//
// Of a warp those lanes go on that are furthest behind, together; a lane waits at a shuffle until
// all of its warp are there, at a barrier for all of its block.
//
//===------------------------------------------------------------------------------------------===//

#include "PtxInterpreter.h"

#include "PtxArithmetic.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace deepshard::ptx {

void Interpreter::fail(const std::string &what, const Instruction &instruction) {
  throw std::runtime_error(what + ": " + instruction.text);
}

//===------------------------------------------------------------------------------------------===//
// Memory
//===------------------------------------------------------------------------------------------===//

uint64_t Interpreter::read(const Thread &thread, uint32_t index, const Operand &operand) const {
  switch (operand.kind) {
  case Operand::Register:
    return thread.registers[operand.number];
  case Operand::Immediate:
  case Operand::Shared:
    return operand.value;
  case Operand::Special:
    switch (static_cast<Special>(operand.number)) {
    case Special::ThreadX:
      return index;
    case Special::BlockX:
      return static_cast<uint64_t>(blockX);
    case Special::BlockY:
      return static_cast<uint64_t>(blockY);
    case Special::ThreadsX:
      return threads.size();
    case Special::BlocksX:
      return blocksX;
    case Special::Zero:
      return 0;
    }
    return 0;
  case Operand::Parameter:
    return reinterpret_cast<uint64_t>(parameters) + sizeof(void *) * operand.number;
  default:
    throw std::runtime_error("an operand that has no value");
  }
}

void Interpreter::write(Thread &thread, const Operand &operand, uint64_t value) {
  if (operand.kind != Operand::Ignored)
    thread.registers[operand.number] = value;
}

void Interpreter::watch(Byte &byte, uint32_t thread, bool isStore, const Instruction &instruction) {
  // Whether an access of another thread may come at the same time.
  auto conflicts = [&](const Access &other) {
    if (other.thread == 0)
      return false;
    return other.block != block || (other.epoch == epoch && other.thread != thread);
  };
  if (conflicts(byte.write) || (isStore && conflicts(byte.read)))
    fail("two threads access the same byte, and nothing orders them", instruction);
  if (isStore) {
    byte.write = {thread, block, epoch};
    return;
  }
  Access &last = byte.read;
  if (last.thread != 0 && last.block != block)
    last = {kMany, kManyBlocks, epoch};
  else if (last.thread != 0 && last.epoch == epoch && last.thread != thread)
    last.thread = kMany;
  else
    last = {thread, block, epoch};
}

void Interpreter::close(Window &window) {
  for (const auto &[sector, bytes] : window.sectors) {
    counted.used += std::popcount(bytes);
    counted.touched += 32;
  }
  window = Window();
}

void Interpreter::count(uint32_t warp, uint64_t address, uint32_t bytes, bool isStore) {
  Window &window = windows[warp][isStore ? 1 : 0];
  for (uint64_t byte = address; byte < address + bytes; ++byte)
    window.sectors[byte / 32] |= 1u << (byte % 32);
}

char *Interpreter::access(Thread &thread, uint32_t index, const Instruction &instruction,
                          const Operand &operand, uint32_t bytes, bool isStore) {
  uint64_t address = read(thread, index, operand.parts[0]) + operand.value;
  uint32_t who = instruction.opcode() == "atom" ? kAtomic : index + 1;
  if (address % bytes != 0)
    fail("an access that is not aligned", instruction);
  if (instruction.has("shared")) {
    if (address + bytes > sharedBytes.size())
      fail("an access outside of shared memory", instruction);
    for (uint32_t i = 0; i < bytes; ++i) {
      if (!isStore && shared[address + i].write.thread == 0)
        fail("nothing has been written to shared memory here", instruction);
      watch(shared[address + i], who, isStore, instruction);
    }
    return sharedBytes.data() + address;
  }
  if (!instruction.has("global"))
    fail("an access to memory that kernels do not use", instruction);
  if (!memory)
    return reinterpret_cast<char *>(address);
  if (!memory->contains(address, bytes))
    fail("an access outside of the operands", instruction);
  size_t position = memory->positionOf(address);
  for (uint32_t i = 0; i < bytes; ++i)
    watch(global[position + i], who, isStore, instruction);
  count(index / kWarp, address, bytes, isStore);
  return reinterpret_cast<char *>(address);
}

const char *Interpreter::parameter(const Thread &thread, uint32_t index,
                                   const Instruction &instruction, uint32_t bytes) const {
  const Operand &address = instruction.operands[1];
  uint64_t offset = read(thread, index, address.parts[0]) + address.value -
                    reinterpret_cast<uint64_t>(parameters);
  if (offset % bytes != 0 || offset + bytes > parameterBytes)
    fail("an access outside of the parameters, or not aligned", instruction);
  return parameters + offset;
}

void Interpreter::load(Thread &thread, uint32_t index, const Instruction &instruction) {
  const Operand &to = instruction.operands[0], &address = instruction.operands[1];
  uint32_t bytes = instruction.type.bytes();
  const std::vector<Operand> single = {to};
  const std::vector<Operand> &parts = to.kind == Operand::Vector ? to.parts : single;
  const char *from =
      instruction.has("param")
          ? parameter(thread, index, instruction, bytes * static_cast<uint32_t>(parts.size()))
          : access(thread, index, instruction, address, bytes * static_cast<uint32_t>(parts.size()),
                   false);
  for (size_t i = 0; i < parts.size(); ++i) {
    uint64_t value = 0;
    std::memcpy(&value, from + i * bytes, bytes);
    if (instruction.type.kind == Type::Signed)
      value = signExtended(value, instruction.type.bits);
    write(thread, parts[i], value);
  }
}

void Interpreter::store(Thread &thread, uint32_t index, const Instruction &instruction) {
  const Operand &address = instruction.operands[0], &from = instruction.operands[1];
  uint32_t bytes = instruction.type.bytes();
  const std::vector<Operand> single = {from};
  const std::vector<Operand> &parts = from.kind == Operand::Vector ? from.parts : single;
  char *to = access(thread, index, instruction, address,
                    bytes * static_cast<uint32_t>(parts.size()), true);
  for (size_t i = 0; i < parts.size(); ++i) {
    uint64_t value = read(thread, index, parts[i]);
    std::memcpy(to + i * bytes, &value, bytes);
  }
}

void Interpreter::addAtomically(Thread &thread, uint32_t index, const Instruction &instruction) {
  if (!instruction.has("add") || instruction.type.kind != Type::Unsigned)
    fail("an unknown atomic", instruction);
  uint32_t bytes = instruction.type.bytes();
  char *place = access(thread, index, instruction, instruction.operands[1], bytes, true);
  uint64_t before = 0;
  std::memcpy(&before, place, bytes);
  uint64_t sum = before + read(thread, index, instruction.operands[2]);
  std::memcpy(place, &sum, bytes);
  write(thread, instruction.operands[0], before);
}

//===------------------------------------------------------------------------------------------===//
// Instructions
//===------------------------------------------------------------------------------------------===//

void Interpreter::execute(Thread &thread, uint32_t index, const Instruction &instruction) {
  std::string_view opcode = instruction.opcode();
  if (opcode == "ld")
    return load(thread, index, instruction);
  if (opcode == "st")
    return store(thread, index, instruction);
  if (opcode == "atom" || opcode == "red")
    return addAtomically(thread, index, instruction);
  if (opcode == "call")
    fail("a call of a function", instruction);
  const std::vector<Operand> &operands = instruction.operands;
  if (opcode == "mov" && operands[0].kind == Operand::Vector) {
    uint64_t value = read(thread, index, operands[1]);
    uint32_t bits = instruction.type.bits / static_cast<uint32_t>(operands[0].parts.size());
    for (const Operand &part : operands[0].parts) {
      write(thread, part, lowBits(value, bits));
      value >>= bits;
    }
    return;
  }
  if (opcode == "mov" && operands[1].kind == Operand::Vector) {
    uint64_t value = 0;
    uint32_t bits = instruction.type.bits / static_cast<uint32_t>(operands[1].parts.size());
    for (size_t i = operands[1].parts.size(); i-- > 0;)
      value = value << bits | lowBits(read(thread, index, operands[1].parts[i]), bits);
    write(thread, operands[0], value);
    return;
  }
  uint64_t values[4] = {};
  for (size_t i = 1; i < operands.size() && i <= 4; ++i)
    values[i - 1] = read(thread, index, operands[i]);
  write(thread, operands[0], compute(instruction, values));
}

void Interpreter::step(uint32_t warp, uint32_t position) {
  const Instruction &instruction = function->body[position];
  std::string_view opcode = instruction.opcode();
  uint32_t first = warp * kWarp,
           end = std::min<uint32_t>(first + kWarp, static_cast<uint32_t>(threads.size()));
  bool isGlobal = instruction.has("global") && opcode != "cvta";
  for (uint32_t index = first; index < end; ++index) {
    Thread &thread = threads[index];
    if (thread.state != State::Ready || thread.position != position)
      continue;
    if (opcode == "shfl" || opcode == "match" || opcode == "bar" || opcode == "barrier") {
      if (instruction.predicate >= 0)
        fail("a meeting of threads under a condition", instruction);
      bool isOfWarp = opcode == "shfl" || opcode == "match";
      thread.state = isOfWarp ? State::AtShuffle : State::AtBarrier;
      continue;
    }
    ++executed;
    ++thread.position;
    if (instruction.predicate >= 0 &&
        (thread.registers[static_cast<uint32_t>(instruction.predicate)] != 0) ==
            instruction.isNegated)
      continue;
    if (opcode == "bra")
      thread.position = instruction.target;
    else if (opcode == "ret")
      thread.state = State::Done;
    else
      execute(thread, index, instruction);
  }
  if (isGlobal) {
    Window &window = windows[warp][opcode == "st" ? 1 : 0];
    if (++window.accesses == 8)
      close(window);
  }
}

/// The lane that a shuffle of all lanes takes its value from; `distance` is a lane for idx.
static uint32_t sourceOf(const Instruction &shuffle, uint32_t lane, uint32_t distance) {
  if (shuffle.has("bfly"))
    return lane ^ distance;
  if (shuffle.has("up"))
    return lane < distance ? lane : lane - distance;
  if (shuffle.has("idx"))
    return distance;
  throw std::runtime_error("an unknown shuffle: " + shuffle.text);
}

void Interpreter::exchange(uint32_t warp, const Instruction &instruction) {
  uint32_t first = warp * kWarp;
  const std::vector<Operand> &operands = instruction.operands;
  std::array<uint64_t, kWarp> values;
  for (uint32_t lane = 0; lane < kWarp; ++lane)
    values[lane] = lowBits(read(threads[first + lane], first + lane, operands[1]), 32);
  bool isMatch = instruction.opcode() == "match";
  uint32_t clamp = instruction.has("up") ? 0 : kWarp - 1;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    Thread &thread = threads[first + lane];
    auto value = [&](size_t operand) {
      return static_cast<uint32_t>(read(thread, first + lane, operands[operand]));
    };
    if (value(isMatch ? 2 : 4) != ~0u || (!isMatch && value(3) != clamp))
      fail("a shuffle of some lanes only", instruction);
    uint64_t result = 0;
    if (isMatch) {
      for (uint32_t other = 0; other < kWarp; ++other)
        result |= values[other] == values[lane] ? uint64_t{1} << other : 0;
    } else {
      uint32_t from = sourceOf(instruction, lane, value(2));
      if (from >= kWarp)
        fail("a shuffle with a lane that does not exist", instruction);
      result = values[from];
    }
    write(thread, operands[0], result);
    ++thread.position;
    thread.state = State::Ready;
  }
}

/// Lets the lanes of a warp exchange values if they all wait for it.
bool Interpreter::meet(uint32_t warp) {
  uint32_t first = warp * kWarp;
  if (first + kWarp > threads.size())
    return false; // some of its lanes do not exist
  uint32_t position = threads[first].position;
  for (uint32_t lane = 0; lane < kWarp; ++lane)
    if (threads[first + lane].state != State::AtShuffle ||
        threads[first + lane].position != position)
      return false;
  exchange(warp, function->body[position]);
  return true;
}

void Interpreter::runWarp(uint32_t warp) {
  uint32_t first = warp * kWarp,
           end = std::min<uint32_t>(first + kWarp, static_cast<uint32_t>(threads.size()));
  do {
    while (true) {
      uint32_t position = ~0u;
      for (uint32_t index = first; index < end; ++index)
        if (threads[index].state == State::Ready)
          position = std::min(position, threads[index].position);
      if (position == ~0u)
        break;
      step(warp, position);
    }
  } while (meet(warp));
}

void Interpreter::runBlock() {
  auto count = static_cast<uint32_t>(threads.size()), warps = (count + kWarp - 1) / kWarp;
  for (Thread &thread : threads) {
    thread.registers.assign(function->registers, 0);
    thread.position = 0;
    thread.state = State::Ready;
  }
  sharedBytes.assign(function->sharedBytes, 0);
  shared.assign(function->sharedBytes, Byte());
  windows.assign(warps, {});
  epoch = 0;
  std::vector<uint32_t> order(warps);
  for (uint32_t warp = 0; warp < warps; ++warp)
    order[warp] = warp;
  while (true) {
    std::shuffle(order.begin(), order.end(), random);
    for (uint32_t warp : order)
      runWarp(warp);
    size_t done = 0, waiting = 0;
    for (const Thread &thread : threads) {
      done += thread.state == State::Done ? 1 : 0;
      waiting += thread.state == State::AtBarrier && thread.position == threads[0].position ? 1 : 0;
    }
    if (done == threads.size())
      break;
    if (waiting != threads.size()) {
      auto stuck = std::find_if(threads.begin(), threads.end(), [](const Thread &thread) {
        return thread.state == State::AtShuffle || thread.state == State::AtBarrier;
      });
      fail("not all threads come to", function->body[stuck->position]);
    }
    ++epoch;
    for (Thread &thread : threads) {
      thread.state = State::Ready;
      ++thread.position;
    }
  }
  for (auto &pair : windows)
    for (Window &window : pair)
      close(window);
}

std::string Interpreter::run(const Function &kernel, std::array<int64_t, 3> grid, uint32_t count,
                             const std::vector<void *> &operands, uint64_t seed) {
  if (operands.size() != kernel.parameters.size())
    return "the function has " + std::to_string(kernel.parameters.size()) + " parameters";
  parameters = reinterpret_cast<const char *>(operands.data());
  parameterBytes = operands.size() * sizeof(void *);
  return runAll(kernel, grid, count, seed);
}

std::string Interpreter::run(const Function &kernel, std::array<int64_t, 3> grid, uint32_t count,
                             const std::vector<char> &argument, uint64_t seed) {
  if (kernel.parameters.size() != 1)
    return "the function has " + std::to_string(kernel.parameters.size()) + " parameters";
  parameters = argument.data();
  parameterBytes = argument.size();
  return runAll(kernel, grid, count, seed);
}

std::string Interpreter::runAll(const Function &kernel, std::array<int64_t, 3> grid, uint32_t count,
                                uint64_t seed) {
  function = &kernel;
  random.seed(seed);
  threads.assign(count, Thread());
  global.assign(memory ? memory->size() : 0, Byte());
  if (kernel.threads != 0 && kernel.threads != count)
    return "a block of other size than the function is made for";
  block = 0;
  blocksX = static_cast<uint32_t>(grid[0]);
  for (blockY = 0; blockY < grid[1]; ++blockY)
    for (blockX = 0; blockX < grid[0]; ++blockX, ++block)
      try {
        runBlock();
      } catch (const std::runtime_error &error) {
        return std::string(error.what()) + " (block " + std::to_string(blockX) + ", " +
               std::to_string(blockY) + ")";
      }
  return "";
}

} // namespace deepshard::ptx
