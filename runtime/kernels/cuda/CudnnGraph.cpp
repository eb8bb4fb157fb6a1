//===- CudnnGraph.cpp - graphs of cuDNN's frontend
//---------------------------------------------===//

#include "runtime/kernels/cuda/CudnnGraph.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/CudnnProperties.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/plan/Error.h"

// cuDNN's functions are looked up in `cudnn_dlhandle`. Functions of the CUDA runtime would be in a
// second copy of it; none is needed, because the graphs have no part that the frontend runs itself.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>
#include <fmt/format.h>

#include <bit>
#include <unordered_map>

namespace fe = cudnn_frontend;

void *fe::cudnn_dlhandle = nullptr;

namespace deepshard::runtime::cuda {

namespace {

using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

void must(fe::error_t result) { require(result.is_good(), "cuDNN: " + result.get_message()); }

fe::DataType_t typeOf(DType dtype) {
  return dtype == DType::F32    ? fe::DataType_t::FLOAT
         : dtype == DType::BF16 ? fe::DataType_t::BFLOAT16
                                : fe::DataType_t::HALF;
}

/// Operands are numbered from 1 on, in the order of the spec.
class FrontendGraph : public LibraryGraph {
public:
  uint64_t workspaceBytes() const override { return workspace; }

  void run(const KernelArguments &arguments, cudaStream_t stream) override {
    std::unordered_map<int64_t, void *> places;
    for (void *input : arguments.inputs)
      places.emplace(places.size() + 1, input);
    for (void *output : arguments.outputs)
      places.emplace(places.size() + 1, output);
    if (cudnnStatus_t status = fe::detail::set_stream(handle, stream);
        status != CUDNN_STATUS_SUCCESS)
      throw Error(fmt::format("cudnnSetStream: {}", fe::detail::get_error_string(status)),
                  ExitCode::RankFailed);
    fe::error_t result = graph.execute(handle, places, arguments.workspace);
    if (result.is_bad())
      throw Error(fmt::format("{} of cuDNN: {}", name, result.get_message()), ExitCode::RankFailed);
  }

  /// All but library and GPU.
  StoredGraph store() const;

protected:
  FrontendGraph(const CudnnTarget &target, const KernelSpec &spec);

  /// Of the spec's type, unless it is said otherwise.
  Tensor input(const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
    return graph.tensor(
        fe::graph::Tensor_attributes().set_uid(++operands).set_dim(shape).set_stride(strides));
  }
  void output(const Tensor &tensor, const std::vector<int64_t> &shape,
              const std::vector<int64_t> &strides) {
    tensor->set_output(true).set_uid(++operands).set_dim(shape).set_stride(strides);
  }
  /// Looks for kernels in the order of `modes`; `choose` may exclude some.
  template <typename Choose>
  void plan(const std::vector<fe::HeurMode_t> &modes, const Choose &choose);

  fe::graph::Graph graph;

private:
  cudnnHandle_t handle;
  std::string name;
  int64_t operands = 0; // so far
  uint64_t workspace = 0;
};

FrontendGraph::FrontendGraph(const CudnnTarget &target, const KernelSpec &spec)
    : handle(target.handle), name(spec.name) {
  graph.set_io_data_type(typeOf(spec.inputs[0].dtype))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  // Else the frontend would ask a CUDA runtime of its own.
  graph.set_sm_version(target.gpu.capability);
  if (handle)
    return;
  const std::string description = cudnnProperties(target.gpu);
  auto properties = std::make_shared<fe::DeviceProperties>();
  must(properties->deserialize({description.begin(), description.end()}));
  graph.set_device_properties(properties);
}

template <typename Choose>
void FrontendGraph::plan(const std::vector<fe::HeurMode_t> &modes, const Choose &choose) {
  must(graph.validate());
  must(handle ? graph.build_operation_graph(handle) : graph.build_operation_graph());
  must(graph.create_execution_plans(modes));
  choose();
  must(graph.check_support());
  must(graph.build_plans());
  int64_t bytes = 0;
  must(graph.get_workspace_size(bytes));
  workspace = static_cast<uint64_t>(bytes);
}

/// What the frontend would read again, without its form: to run a graph of a plan no frontend is
/// needed (CudnnStored.h).
StoredGraph FrontendGraph::store() const try {
  std::vector<uint8_t> bytes;
  must(graph.serialize(bytes));
  const nlohmann::json all = nlohmann::json::from_ubjson(bytes);
  StoredGraph stored;
  stored.plan = all.at("cudnn_backend_data").get<std::string>();
  stored.workspaceBegin = all.at("fe_workspace_size").get<uint64_t>();
  // Lists of [number, ...].
  for (const nlohmann::json &scalar : all.at("pass_by_values")) {
    constexpr int kFloat = 3; // in the frontend's list of types; its bits as hexadecimal digits
    require(scalar.at(1).at("index").get<int>() == kFloat, "a number in it is no f32");
    const auto bits =
        static_cast<uint32_t>(std::stoul(scalar.at(1).at("value").get<std::string>(), nullptr, 16));
    stored.scalars.push_back({scalar.at(0).get<int64_t>(), std::bit_cast<float>(bits)});
  }
  for (const nlohmann::json &part : all.at("workspace_modifications")) {
    constexpr int kAddress = 2; // of a part of the workspace with nothing in it
    require(part.at(1).at(0).get<int>() == kAddress, "a part of its workspace has a content");
    stored.parts.push_back({part.at(0).get<int64_t>(), part.at(1).at(1).get<uint64_t>()});
  }
  require(all.at("variant_pack_replacements").empty(), "operands of it are replaced");
  return stored;
} catch (const nlohmann::json::exception &error) {
  throw std::invalid_argument(std::string("the frontend writes another form: ") + error.what());
}

//===-- attention -----------------------------------------------------------------------------===//

class AttentionGraph final : public FrontendGraph {
public:
  AttentionGraph(const CudnnTarget &target, const KernelSpec &spec)
      : FrontendGraph(target, spec), attention(sdpaOf(spec)), call(attention.call) {
    attention.isGrad ? addGradient() : addForward();
    plan({fe::HeurMode_t::A}, [] {});
  }

private:
  void addForward();
  void addGradient();
  std::vector<int64_t> shape(int64_t heads, int64_t length) const {
    return {call.b, heads, length, call.d};
  }
  static std::vector<int64_t> listOf(const Strides4 &strides) {
    return {strides.b, strides.h, strides.s, strides.d};
  }
  Tensor input(int64_t heads, int64_t length, const Strides4 &strides) {
    return FrontendGraph::input(shape(heads, length), listOf(strides));
  }
  void output(const Tensor &tensor, int64_t heads, int64_t length, const Strides4 &strides) {
    FrontendGraph::output(tensor, shape(heads, length), listOf(strides));
  }
  std::vector<int64_t> statsShape() const { return {call.b, call.h, call.s, 1}; }
  std::vector<int64_t> statsStrides() const { return {call.h * call.s, call.s, 1, 1}; }
  template <typename Options> Options options() const;

  const Attention attention;
  const AttentionCall &call;
};

/// Query i sees keys j <= i + t - s: a band whose diagonal ends in the last row and column. A
/// single query sees all (with grouped heads cuDNN 9.18 was wrong about that one).
template <typename Options> Options AttentionGraph::options() const {
  Options options;
  options.set_name("attention").set_attn_scale(call.scale);
  if (call.causal && call.s > 1)
    options
        .set_diagonal_alignment(call.s == call.t ? fe::DiagonalAlignment_t::TOP_LEFT
                                                 : fe::DiagonalAlignment_t::BOTTOM_RIGHT)
        .set_diagonal_band_right_bound(0);
  return options;
}

void AttentionGraph::addForward() {
  Tensor q = input(call.h, call.s, call.q), k = input(call.g, call.t, call.k),
         v = input(call.g, call.t, call.v);
  auto [o, stats] =
      graph.sdpa(q, k, v, options<fe::graph::SDPA_attributes>().set_generate_stats(true));
  output(o, call.h, call.s, call.o);
  FrontendGraph::output(stats, statsShape(), statsStrides());
  stats->set_data_type(fe::DataType_t::FLOAT);
}

void AttentionGraph::addGradient() {
  Tensor dO = input(call.h, call.s, call.dO), q = input(call.h, call.s, call.q),
         k = input(call.g, call.t, call.k), v = input(call.g, call.t, call.v),
         o = input(call.h, call.s, call.o);
  Tensor stats = FrontendGraph::input(statsShape(), statsStrides());
  stats->set_data_type(fe::DataType_t::FLOAT);
  auto [dQ, dK, dV] = graph.sdpa_backward(
      q, k, v, o, dO, stats,
      options<fe::graph::SDPA_backward_attributes>().set_deterministic_algorithm(true));
  output(dQ, call.h, call.s, call.dQ);
  output(dK, call.g, call.t, call.dK);
  output(dV, call.g, call.t, call.dV);
}

//===-- convolutions --------------------------------------------------------------------------===//

class ConvolutionGraph final : public FrontendGraph {
public:
  ConvolutionGraph(const CudnnTarget &target, const KernelSpec &spec)
      : FrontendGraph(target, spec), spec(spec), convolution(convOf(spec)) {
    Tensor first = input(spec.inputs[0]), second = input(spec.inputs[1]);
    output(spec.name == "convolution"
               ? graph.conv_fprop(first, second, options<fe::graph::Conv_fprop_attributes>())
           : spec.name == "convolution_input_grad"
               ? graph.conv_dgrad(first, second, options<fe::graph::Conv_dgrad_attributes>())
               : graph.conv_wgrad(first, second, options<fe::graph::Conv_wgrad_attributes>()),
           spec.outputs[0]);
    // The second knows of kernels for every shape.
    plan({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}, [this] { exclude(); });
  }

private:
  void exclude();
  Tensor input(const TensorDesc &tensor) {
    const std::vector<int64_t> shape = shapeOf(tensor);
    return FrontendGraph::input(shape, TensorDesc::contiguous(tensor.dtype, shape).strides);
  }
  void output(const Tensor &result, const TensorDesc &tensor) {
    const std::vector<int64_t> shape = shapeOf(tensor);
    FrontendGraph::output(result, shape, TensorDesc::contiguous(tensor.dtype, shape).strides);
  }
  template <typename Options> Options options() const;

  /// The library knows none of one spatial dimension: another of size 1 is put in front of it.
  bool isLine() const { return convolution.spatial.size() == 1; }
  std::vector<int64_t> shapeOf(const TensorDesc &tensor) const {
    std::vector<int64_t> shape = tensor.shape;
    if (isLine())
      shape.insert(shape.begin() + 2, 1);
    return shape;
  }

  const KernelSpec spec;
  const Convolution convolution;
};

template <typename Options> Options ConvolutionGraph::options() const {
  std::vector<int64_t> low, high, strides, dilations;
  auto add = [&](const ConvolutionDim &dim) {
    low.push_back(dim.low);
    high.push_back(dim.high);
    strides.push_back(dim.stride);
    dilations.push_back(dim.dilation);
  };
  if (isLine())
    add({1, 1, 1, 1, 1, 0, 0});
  for (const ConvolutionDim &dim : convolution.spatial)
    add(dim);
  Options options;
  options.set_name(spec.name)
      .set_pre_padding(low)
      .set_post_padding(high)
      .set_stride(strides)
      .set_dilation(dilations);
  return options;
}

/// What adds in an order that changes or rounds what is summed, and what the plan's workspace is
/// too small for.
void ConvolutionGraph::exclude() {
  using Note = fe::NumericalNote_t;
  graph.deselect_numeric_notes({Note::NONDETERMINISTIC, Note::DOWN_CONVERT_INPUTS,
                                Note::REDUCED_PRECISION_REDUCTION, Note::FFT, Note::WINOGRAD,
                                Note::WINOGRAD_TILE_4x4, Note::WINOGRAD_TILE_6x6,
                                Note::WINOGRAD_TILE_13x13});
  // Those of f32 are of TF32.
  if (spec.inputs[0].dtype == DType::F32 && !spec.attributes.flag(kTf32Values))
    graph.deselect_numeric_notes({Note::TENSOR_CORE});
  graph.deselect_workspace_greater_than(static_cast<int64_t>(workspaceAttribute(spec)));
}

} // namespace

static std::unique_ptr<FrontendGraph>
frontendGraph(const CudnnLibrary &library, const CudnnTarget &target, const KernelSpec &spec) {
  fe::cudnn_dlhandle = library.library().rawHandle();
  if (isConv(spec))
    return std::make_unique<ConvolutionGraph>(target, spec);
  return std::make_unique<AttentionGraph>(target, spec);
}

std::unique_ptr<LibraryGraph> buildGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                         const KernelSpec &spec) {
  return frontendGraph(library, target, spec);
}

StoredGraph storeGraph(const CudnnLibrary &library, const CudnnTarget &target,
                       const KernelSpec &spec) {
  StoredGraph stored = frontendGraph(library, target, spec)->store();
  stored.library = library.version();
  stored.gpu = textOf(target.gpu);
  return stored;
}

} // namespace deepshard::runtime::cuda
