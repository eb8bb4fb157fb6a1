//===- Primitive.cpp - kernels as primitives of oneDNN ----------------------------------------===//
//
// Which implementation runs a call follows from its descriptors and the number of threads alone:
// the library is asked with a team of that size. oneDNN is linked against the same libgomp as
// everything else, so that its loops run on the calling thread's team.
//
// The workspace of a kernel, each part at a multiple of 64 bytes:
//
//   | scratchpad of the primitive | copy of an operand | scratchpad of its reorder | copy | ...
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/onednn/Primitive.h"

#include "runtime/kernels/Require.h"

#include <fmt/format.h>
#include <iterator>
#include <stdexcept>
#include <string_view>

using namespace deepshard::runtime;
using namespace deepshard::runtime::onednn;

const dnnl::engine &deepshard::runtime::onednn::cpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type deepshard::runtime::onednn::typeOf(DType dtype) {
  require(dtype == DType::F32 || dtype == DType::BF16,
          fmt::format("an operand is {}, expected f32 or bf16", nameOf(dtype)));
  return dtype == DType::F32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

void deepshard::runtime::onednn::requireFloats(const KernelSpec &spec) {
  for (const TensorDesc &desc : spec.inputs) {
    require(typeOf(desc.dtype) == typeOf(spec.inputs[0].dtype),
            fmt::format("operands are {} and {}", textOf(spec.inputs[0]), textOf(desc)));
    require(desc.elements() > 0, fmt::format("an operand {} is empty", textOf(desc)));
  }
  require(spec.outputs[0].elements() > 0,
          fmt::format("the result {} is empty", textOf(spec.outputs[0])));
}

dnnl::primitive_desc deepshard::runtime::onednn::describe(
    int threads, const std::function<dnnl::primitive_desc(const dnnl::primitive_attr &)> &create,
    bool adds) {
  const TeamSize team(threads);
  dnnl::primitive_attr attributes;
  // Of its activations none is used: the ReLU behind a product makes 0 of NaN, and GELU has other
  // bits than the generated kernels, which compute it again in the backward.
  if (adds) {
    dnnl::post_ops sum;
    sum.append_sum();
    attributes.set_post_ops(sum);
  }
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  try {
    dnnl::primitive_desc described = create(attributes);
    require(std::string_view(described.impl_info_str()).substr(0, 3) != "ref",
            "oneDNN has no fast implementation for these strides");
    return described;
  } catch (const dnnl::error &error) {
    throw std::invalid_argument(std::string("oneDNN refuses: ") + error.what());
  }
}

namespace {

constexpr size_t kAlignment = 64;

/// The copy of an operand and how it is made, or the result made of it.
struct Copy {
  size_t operand;
  dnnl::reorder::primitive_desc reorder;
  size_t offset, scratchpad; // in the workspace
};

/// What lies where in the workspace of a call; the scratchpad of the primitive lies at its start.
struct Workspace {
  explicit Workspace(const Call &call) {
    reserve(call.description.scratchpad_desc().get_size());
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Operand &operand = call.operands[i];
      if (operand.given == operand.taken)
        continue;
      const dnnl::memory::desc &from = operand.isResult ? operand.taken : operand.given;
      const dnnl::memory::desc &to = operand.isResult ? operand.given : operand.taken;
      const dnnl::reorder::primitive_desc reorder(cpuEngine(), from, cpuEngine(), to, attributes);
      const size_t copy = reserve(operand.taken.get_size());
      const size_t scratchpad = reserve(reorder.scratchpad_desc().get_size());
      copies.push_back({i, reorder, copy, scratchpad});
    }
  }

  /// Null if the primitive takes the operand as it is given.
  const Copy *copyOf(size_t operand) const {
    for (const Copy &copy : copies)
      if (copy.operand == operand)
        return &copy;
    return nullptr;
  }

  size_t bytes = 0;
  std::vector<Copy> copies;

private:
  size_t reserve(size_t size) {
    bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    const size_t offset = bytes;
    bytes += size;
    return offset;
  }
};

/// Nothing that was prepared can fail but by a defect here or there, which must not go on with
/// wrong results.
void check(dnnl_status_t status) noexcept {
  if (status != dnnl_success)
    std::terminate();
}

/// Primitives one after another, on memory whose addresses every run gives.
class OnednnKernel : public Kernel {
public:
  OnednnKernel(const Call &call, int threads) : threads(threads), stream(cpuEngine()) {
    const TeamSize team(threads);
    const Workspace workspace(call);
    Step main{dnnl::primitive(call.description), {}};
    std::vector<Step> after;
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Operand &operand = call.operands[i];
      const dnnl_memory_t given =
          bind(operand.given, operand.isResult ? Source::Output : Source::Input, operand.index);
      dnnl_memory_t taken = given;
      if (const Copy *copy = workspace.copyOf(i)) {
        taken = bind(operand.taken, Source::Workspace, copy->offset);
        if (operand.isResult)
          after.push_back(reorder(*copy, taken, given));
        else
          steps.push_back(reorder(*copy, given, taken));
      }
      main.arguments.push_back({operand.argument, taken});
    }
    main.arguments.push_back(
        {DNNL_ARG_SCRATCHPAD, bind(call.description.scratchpad_desc(), Source::Workspace, 0)});
    steps.push_back(std::move(main));
    std::move(after.begin(), after.end(), std::back_inserter(steps));
  }

  void run(const KernelArguments &given) noexcept override {
    const TeamSize team(threads);
    for (const Binding &binding : bindings)
      check(dnnl_memory_set_data_handle(binding.memory.get(), addressOf(binding, given)));
    // The C interface: the C++ one builds a map for every call.
    for (const Step &step : steps)
      check(dnnl_primitive_execute(step.primitive.get(), stream.get(),
                                   static_cast<int>(step.arguments.size()), step.arguments.data()));
  }

private:
  enum class Source : uint8_t { Input, Output, Workspace };
  struct Binding {
    dnnl::memory memory;
    Source source;
    size_t at; // index of the operand, or offset in the workspace
  };
  struct Step {
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> arguments;
  };

  dnnl_memory_t bind(const dnnl::memory::desc &desc, Source source, size_t at) {
    bindings.push_back({dnnl::memory(desc, cpuEngine(), nullptr), source, at});
    return bindings.back().memory.get();
  }

  Step reorder(const Copy &copy, dnnl_memory_t from, dnnl_memory_t to) {
    const dnnl_memory_t scratchpad =
        bind(copy.reorder.scratchpad_desc(), Source::Workspace, copy.scratchpad);
    return {dnnl::reorder(copy.reorder),
            {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratchpad}}};
  }

  static void *addressOf(const Binding &binding, const KernelArguments &given) noexcept {
    switch (binding.source) {
    case Source::Input:
      return given.inputs[binding.at];
    case Source::Output:
      return given.outputs[binding.at];
    case Source::Workspace:
      break;
    }
    return static_cast<char *>(given.workspace) + binding.at;
  }

  int threads;
  dnnl::stream stream;
  std::vector<Binding> bindings;
  std::vector<Step> steps;
};

} // namespace

size_t deepshard::runtime::onednn::workspaceBytes(const Call &call) {
  return Workspace(call).bytes;
}

std::unique_ptr<Kernel> deepshard::runtime::onednn::prepare(const Call &call, int threads) {
  return std::make_unique<OnednnKernel>(call, threads);
}
