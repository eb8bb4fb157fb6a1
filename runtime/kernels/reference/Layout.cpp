//===- Layout.cpp - kernels that move elements or write constants -----------------------------===//

#include "runtime/kernels/reference/LoopNest.h"
#include "runtime/kernels/reference/Moves.h"
#include "runtime/kernels/reference/Reference.h"
#include "runtime/kernels/reference/Types.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdexcept>

using namespace deepshard::runtime;
using namespace deepshard::runtime::reference;

namespace {

void requireOneType(const KernelSpec &spec) {
  for (size_t i = 0; i < spec.inputs.size(); ++i)
    require(spec.inputs[i].dtype == spec.outputs[0].dtype,
            fmt::format("operand {} is {}, the result {}", i, textOf(spec.inputs[i]),
                        textOf(spec.outputs[0])));
}

using Moves = std::vector<Move>;

void requireShape(const TensorDesc &found, const TensorDesc &view, const std::string &name) {
  require(found.shape == view.shape,
          fmt::format("the result of {} is {}, expected {}", name, textOf(found), textOf(view)));
}

int64_t dimensionOf(const KernelSpec &spec, int64_t rank) {
  const int64_t dim = spec.attributes.integer("dim");
  require(dim >= 0 && dim < rank, fmt::format("dim is {}, but there are {} dimensions", dim, rank));
  return dim;
}

Moves movesOfCopy(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  requireOneType(spec);
  requireEqualShapes(spec);
  return {{spec.outputs[0], 0, spec.inputs[0], 0, 0}};
}

/// Strides that give `desc` the sizes `shape`, if a view does.
std::optional<TensorDesc> viewAs(const TensorDesc &desc, const std::vector<int64_t> &shape) {
  // Merge what is contiguous, then split it again from the inside; a new dimension may not cross a
  // border.
  TensorDesc view{desc.dtype, shape, std::vector<int64_t>(shape.size(), 0)};
  int64_t dim = desc.rank() - 1;
  int64_t run = 1, stride = 1; // elements left in the current run, and their stride
  for (auto at = static_cast<int64_t>(shape.size()) - 1; at >= 0; --at) {
    if (shape[at] == 1)
      continue;
    while (run == 1 && dim >= 0) {
      run = desc.shape[dim];
      stride = desc.strides[dim];
      for (--dim; dim >= 0 && (desc.shape[dim] == 1 || desc.strides[dim] == stride * run); --dim)
        run *= desc.shape[dim];
    }
    if (run % shape[at] != 0)
      return std::nullopt;
    view.strides[at] = stride;
    stride *= shape[at];
    run /= shape[at];
  }
  return view;
}

Moves movesOfReshape(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  requireOneType(spec);
  const TensorDesc &in = spec.inputs[0], &out = spec.outputs[0];
  require(in.elements() == out.elements(),
          fmt::format("reshape of {} cannot give {}: the numbers of elements differ", textOf(in),
                      textOf(out)));
  if (out.elements() == 0)
    return {};
  if (auto view = viewAs(in, out.shape))
    return {{out, 0, *view, 0, 0}};
  if (auto view = viewAs(out, in.shape))
    return {{*view, 0, in, 0, 0}};
  return {{out, 0, in, 0, 0}};
}

Moves movesOfTranspose(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  requireOneType(spec);
  const TensorDesc &in = spec.inputs[0];
  const std::vector<int64_t> &permutation = spec.attributes.integers("permutation");
  std::vector<bool> seen(in.shape.size(), false);
  TensorDesc view{in.dtype, {}, {}};
  for (int64_t dim : permutation) {
    require(dim >= 0 && dim < in.rank() && !seen[dim],
            fmt::format("[{}] is not a permutation of {} dimensions", fmt::join(permutation, ", "),
                        in.rank()));
    seen[dim] = true;
    view.shape.push_back(in.shape[dim]);
    view.strides.push_back(in.strides[dim]);
  }
  require(view.rank() == in.rank(), fmt::format("[{}] is not a permutation of {} dimensions",
                                                fmt::join(permutation, ", "), in.rank()));
  requireShape(spec.outputs[0], view, "transpose");
  return {{spec.outputs[0], 0, view, 0, 0}};
}

/// Dimension k of the operand is dimension dims[k] of the result; without `dims` the last
/// dimensions match.
Moves movesOfBroadcast(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  requireOneType(spec);
  const TensorDesc &in = spec.inputs[0], &out = spec.outputs[0];
  std::vector<int64_t> dims;
  if (spec.attributes.has("dims"))
    dims = spec.attributes.integers("dims");
  else
    for (int64_t dim = 0; dim < in.rank(); ++dim)
      dims.push_back(out.rank() - in.rank() + dim);
  require(static_cast<int64_t>(dims.size()) == in.rank(),
          fmt::format("dims has {} entries for {}", dims.size(), textOf(in)));
  TensorDesc view{out.dtype, out.shape, std::vector<int64_t>(out.shape.size(), 0)};
  std::vector<bool> seen(out.shape.size(), false);
  for (int64_t k = 0; k < in.rank(); ++k) {
    require(dims[k] >= 0 && dims[k] < out.rank() && !seen[dims[k]],
            fmt::format("dimension {} of {} has no dimension of its own in {}", k, textOf(in),
                        textOf(out)));
    seen[dims[k]] = true;
    require(in.shape[k] == out.shape[dims[k]] || in.shape[k] == 1,
            fmt::format("dimension {} of {} does not broadcast to dimension {} of {}", k,
                        textOf(in), dims[k], textOf(out)));
    view.strides[dims[k]] = in.shape[k] == 1 ? 0 : in.strides[k];
  }
  return {{out, 0, view, 0, 0}};
}

/// result[i] = operand[starts + i * strides], for starts + i * strides < limits in every dimension.
Moves movesOfSlice(const KernelSpec &spec) {
  requireOperands(spec, 1, 1);
  requireOneType(spec);
  const TensorDesc &in = spec.inputs[0];
  const std::vector<int64_t> &starts = spec.attributes.integers("starts");
  const std::vector<int64_t> &limits = spec.attributes.integers("limits");
  const std::vector<int64_t> &strides = spec.attributes.integers("strides");
  require(starts.size() == in.shape.size() && limits.size() == in.shape.size() &&
              strides.size() == in.shape.size(),
          fmt::format("starts, limits and strides have {}, {} and {} entries for {}", starts.size(),
                      limits.size(), strides.size(), textOf(in)));
  TensorDesc view{in.dtype, {}, {}};
  int64_t offset = 0;
  for (int64_t dim = 0; dim < in.rank(); ++dim) {
    require(starts[dim] >= 0 && starts[dim] <= limits[dim] && limits[dim] <= in.shape[dim] &&
                strides[dim] > 0,
            fmt::format("[{}:{}:{}] is no slice of dimension {} of {}", starts[dim], limits[dim],
                        strides[dim], dim, textOf(in)));
    view.shape.push_back((limits[dim] - starts[dim] + strides[dim] - 1) / strides[dim]);
    view.strides.push_back(in.strides[dim] * strides[dim]);
    offset += starts[dim] * in.strides[dim];
  }
  requireShape(spec.outputs[0], view, "slice");
  return {{spec.outputs[0], 0, view, offset, 0}};
}

/// The operand with `low` elements of the scalar before and `high` after it in every dimension, and
/// `interior` ones (absent: none) between any two neighbours.
Moves movesOfPad(const KernelSpec &spec) {
  requireOperands(spec, 2, 1);
  requireOneType(spec);
  const TensorDesc &in = spec.inputs[0], &value = spec.inputs[1], &out = spec.outputs[0];
  const std::vector<int64_t> &low = spec.attributes.integers("low");
  const std::vector<int64_t> &high = spec.attributes.integers("high");
  const std::vector<int64_t> interior = spec.attributes.has("interior")
                                            ? spec.attributes.integers("interior")
                                            : std::vector<int64_t>(in.shape.size(), 0);
  require(value.elements() == 1,
          "operand 1, the value to pad with, is " + textOf(value) + ", expected a scalar");
  require(low.size() == in.shape.size() && high.size() == in.shape.size() &&
              interior.size() == in.shape.size(),
          fmt::format("low, high and interior have {}, {} and {} entries for {}", low.size(),
                      high.size(), interior.size(), textOf(in)));
  TensorDesc expected{out.dtype, {}, {}};
  for (int64_t dim = 0; dim < in.rank(); ++dim) {
    require(low[dim] >= 0 && high[dim] >= 0 && interior[dim] >= 0,
            fmt::format("dimension {} is padded by {}, {} and {}, expected no negative size", dim,
                        low[dim], high[dim], interior[dim]));
    const int64_t between = std::max<int64_t>(in.shape[dim] - 1, 0) * interior[dim];
    expected.shape.push_back(low[dim] + in.shape[dim] + between + high[dim]);
  }
  requireShape(out, expected, "pad");
  TensorDesc inside{out.dtype, in.shape, out.strides};
  int64_t offset = 0;
  for (int64_t dim = 0; dim < in.rank(); ++dim) {
    inside.strides[dim] *= interior[dim] + 1;
    offset += low[dim] * out.strides[dim];
  }
  const TensorDesc repeated{out.dtype, out.shape, std::vector<int64_t>(out.shape.size(), 0)};
  Moves moves = {{out, 0, repeated, 0, 1}};
  if (in.elements() > 0)
    moves.push_back({inside, offset, in, 0, 0});
  return moves;
}

Moves movesOfConcat(const KernelSpec &spec) {
  requireOperands(spec, -1, 1);
  requireOneType(spec);
  const TensorDesc &out = spec.outputs[0];
  const int64_t dim = dimensionOf(spec, out.rank());
  Moves moves;
  int64_t begin = 0;
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    const TensorDesc &in = spec.inputs[i];
    std::vector<int64_t> expected = out.shape;
    if (in.rank() == out.rank())
      expected[dim] = in.shape[dim];
    require(in.shape == expected,
            fmt::format("operand {} is {}, which does not fit along dimension {} of {}", i,
                        textOf(in), dim, textOf(out)));
    const TensorDesc part{out.dtype, in.shape, out.strides};
    moves.push_back({part, begin * out.strides[dim], in, 0, static_cast<int>(i)});
    begin += in.shape[dim];
  }
  require(begin == out.shape[dim],
          fmt::format("the operands have {} elements along dimension {}, the result is {}", begin,
                      dim, textOf(out)));
  return moves;
}

/// Appends `value` as an element of type T.
template <typename T> void append(std::vector<char> &bytes, T value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

/// result[.., i, ..] = i along `dim`.
Moves movesOfIota(const KernelSpec &spec) {
  requireOperands(spec, 0, 1);
  const TensorDesc &out = spec.outputs[0];
  const int64_t dim = dimensionOf(spec, out.rank());
  std::vector<char> table;
  dispatchNumber(out.dtype, "the result", [&](auto tag) {
    for (int64_t i = 0; i < out.shape[dim]; ++i)
      append(table, static_cast<typename decltype(tag)::Type>(i));
  });
  TensorDesc view{out.dtype, out.shape, std::vector<int64_t>(out.shape.size(), 0)};
  view.strides[dim] = 1;
  return {{out, 0, view, 0, -1, std::move(table)}};
}

void appendAs(std::vector<char> &bytes, DType dtype, double value) {
  switch (dtype) {
  case DType::I1:
    return append(bytes, static_cast<uint8_t>(value != 0));
  case DType::BF16:
    return append(bytes, BFloat16::from(value));
  case DType::F16:
    return append(bytes, Float16::from(value));
  default:
    dispatchNumber(dtype, "the result", [&](auto tag) {
      append(bytes, static_cast<typename decltype(tag)::Type>(value));
    });
  }
}

/// Writes the number `value`, or exactly the integer `value`, to every element.
Moves movesOfFill(const KernelSpec &spec) {
  requireOperands(spec, 0, 1);
  const TensorDesc &out = spec.outputs[0];
  std::vector<char> constant;
  const auto found = spec.attributes.all().find("value");
  if (out.dtype == DType::I64 && found != spec.attributes.all().end() &&
      std::holds_alternative<int64_t>(found->second))
    append(constant, std::get<int64_t>(found->second));
  else if (found != spec.attributes.all().end() && std::holds_alternative<int64_t>(found->second))
    appendAs(constant, out.dtype, static_cast<double>(std::get<int64_t>(found->second)));
  else
    appendAs(constant, out.dtype, spec.attributes.number("value"));
  const TensorDesc view{out.dtype, out.shape, std::vector<int64_t>(out.shape.size(), 0)};
  return {{out, 0, view, 0, -1, std::move(constant)}};
}

constexpr std::pair<std::string_view, Moves (*)(const KernelSpec &)> kMoves[] = {
    {"copy", movesOfCopy},           {"reshape", movesOfReshape}, {"transpose", movesOfTranspose},
    {"broadcast", movesOfBroadcast}, {"slice", movesOfSlice},     {"pad", movesOfPad},
    {"concat", movesOfConcat},       {"iota", movesOfIota},       {"fill", movesOfFill}};

/// For a reshape of which neither side is a view of the other: element by element in row-major
/// order.
class ReshapeKernel : public Kernel {
public:
  ReshapeKernel(TensorDesc in, TensorDesc out) : in(std::move(in)), out(std::move(out)) {}

  void run(const KernelArguments &arguments) noexcept override {
    dispatchSize(out.dtype, [&](auto tag) {
      using T = typename decltype(tag)::Type;
      auto *to = static_cast<T *>(arguments.outputs[0]);
      const auto *from = static_cast<const T *>(arguments.inputs[0]);
      const int64_t count = out.elements();
      for (int64_t i = 0; i < count; ++i)
        to[offsetOf(out, i)] = from[offsetOf(in, i)];
    });
  }

private:
  TensorDesc in, out;
};

NestStep stepOf(Move move) {
  const auto size = static_cast<int64_t>(sizeOf(move.to.dtype));
  return {LoopNest(move.to.shape, {move.to, move.from}),
          {NestOperand::output(0, move.toOffset * size),
           move.input < 0 ? NestOperand::constant()
                          : NestOperand::input(move.input, move.fromOffset * size)},
          copyRow(move.to.dtype),
          nullptr,
          std::move(move.constant)};
}

std::unique_ptr<Kernel> prepareMoves(const KernelSpec &spec) {
  Moves moves = movesOf(spec);
  if (moves.size() == 1 && moves[0].to.shape != moves[0].from.shape)
    return std::make_unique<ReshapeKernel>(std::move(moves[0].from), std::move(moves[0].to));
  std::vector<NestStep> steps;
  for (Move &move : moves)
    steps.push_back(stepOf(std::move(move)));
  return std::make_unique<NestKernel>(std::move(steps), spec.threads);
}

} // namespace

std::vector<Move> deepshard::runtime::reference::movesOf(const KernelSpec &spec) {
  for (const auto &[name, moves] : kMoves)
    if (name == spec.name)
      return moves(spec);
  throw std::invalid_argument(spec.name + " does not only move elements");
}

void deepshard::runtime::reference::addLayout(KernelTable &table) {
  for (const auto &[name, moves] : kMoves)
    table[std::string(name)] = {prepareMoves};
}
