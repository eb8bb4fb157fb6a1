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
    case Special::Zero:
      return 0;
    }
    return 0;
  default:
    throw std::runtime_error("an operand that has no value");
  }
}

void Interpreter::write(Thread &thread, const Operand &operand, uint64_t value) {
  if (operand.kind != Operand::Ignored)
    thread.registers[operand.number] = value;
}

void Interpreter::watch(Byte &byte, uint32_t index, bool isStore, const Instruction &instruction) {
  // Whether an access of another thread may come at the same time.
  auto conflicts = [&](const Access &other) {
    if (other.thread == 0)
      return false;
    return other.block != block || (other.epoch == epoch && other.thread != index + 1);
  };
  if (conflicts(byte.write) || (isStore && conflicts(byte.read)))
    fail("two threads access the same byte, and nothing orders them", instruction);
  if (isStore) {
    byte.write = {index + 1, block, epoch};
    return;
  }
  Access &last = byte.read;
  if (last.thread != 0 && last.block != block)
    last = {kMany, kManyBlocks, epoch};
  else if (last.thread != 0 && last.epoch == epoch && last.thread != index + 1)
    last.thread = kMany;
  else
    last = {index + 1, block, epoch};
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
  if (address % bytes != 0)
    fail("an access that is not aligned", instruction);
  if (instruction.has("shared")) {
    if (address + bytes > sharedBytes.size())
      fail("an access outside of shared memory", instruction);
    for (uint32_t i = 0; i < bytes; ++i) {
      if (!isStore && shared[address + i].write.thread == 0)
        fail("nothing has been written to shared memory here", instruction);
      watch(shared[address + i], index, isStore, instruction);
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
    watch(global[position + i], index, isStore, instruction);
  count(index / kWarp, address, bytes, isStore);
  return reinterpret_cast<char *>(address);
}

void Interpreter::load(Thread &thread, uint32_t index, const Instruction &instruction) {
  const Operand &to = instruction.operands[0], &address = instruction.operands[1];
  if (instruction.has("param")) {
    write(thread, to, reinterpret_cast<uint64_t>((*arguments)[address.parts[0].number]));
    return;
  }
  uint32_t bytes = instruction.type.bytes();
  const std::vector<Operand> single = {to};
  const std::vector<Operand> &parts = to.kind == Operand::Vector ? to.parts : single;
  const char *from = access(thread, index, instruction, address,
                            bytes * static_cast<uint32_t>(parts.size()), false);
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

//===------------------------------------------------------------------------------------------===//
// Instructions
//===------------------------------------------------------------------------------------------===//

void Interpreter::execute(Thread &thread, uint32_t index, const Instruction &instruction) {
  std::string_view opcode = instruction.opcode();
  if (opcode == "ld")
    return load(thread, index, instruction);
  if (opcode == "st")
    return store(thread, index, instruction);
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
    if (opcode == "shfl" || opcode == "bar" || opcode == "barrier") {
      if (instruction.predicate >= 0)
        fail("a meeting of threads under a condition", instruction);
      thread.state = opcode == "shfl" ? State::AtShuffle : State::AtBarrier;
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

void Interpreter::exchange(uint32_t warp, const Instruction &instruction) {
  uint32_t first = warp * kWarp;
  const std::vector<Operand> &operands = instruction.operands;
  if (!instruction.has("bfly"))
    fail("an unknown shuffle", instruction);
  std::array<uint64_t, kWarp> values;
  for (uint32_t lane = 0; lane < kWarp; ++lane)
    values[lane] = read(threads[first + lane], first + lane, operands[1]);
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    Thread &thread = threads[first + lane];
    auto value = [&](size_t operand) {
      return static_cast<uint32_t>(read(thread, first + lane, operands[operand]));
    };
    uint32_t from = lane ^ value(2);
    if (value(3) != kWarp - 1 || value(4) != ~0u || from >= kWarp)
      fail("a shuffle of some lanes only, or with a lane that does not exist", instruction);
    write(thread, operands[0], values[from]);
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
  function = &kernel;
  arguments = &operands;
  random.seed(seed);
  threads.assign(count, Thread());
  global.assign(memory ? memory->size() : 0, Byte());
  if (kernel.threads != 0 && kernel.threads != count)
    return "a block of other size than the function is made for";
  if (operands.size() != kernel.parameters.size())
    return "the function has " + std::to_string(kernel.parameters.size()) + " parameters";
  block = 0;
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
