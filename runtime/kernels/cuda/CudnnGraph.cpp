//===- CudnnGraph.cpp - attention as graphs of cuDNN's frontend -------------------------------===//

#include "runtime/kernels/cuda/CudnnGraph.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/plan/Error.h"

// cuDNN's functions are looked up in `cudnn_dlhandle`. Functions of the CUDA runtime would be in a
// second copy of it; none is needed, because the graphs have no part that the frontend runs itself.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>
#include <fmt/format.h>

#include <unordered_map>

namespace fe = cudnn_frontend;

void *fe::cudnn_dlhandle = nullptr;

namespace deepshard::runtime::cuda {

namespace {

using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

class FrontendGraph final : public SdpaGraph {
public:
  FrontendGraph(const CudnnTarget &target, const Attention &attention)
      : handle(target.handle), attention(attention) {
    describe(target);
    attention.isGrad ? addGradient() : addForward();
    plan();
  }

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
      throw Error("attention of cuDNN: " + result.get_message(), ExitCode::RankFailed);
  }

private:
  void describe(const CudnnTarget &target);
  void addForward();
  void addGradient();
  void plan();
  Tensor input(int64_t heads, int64_t length, const Strides4 &strides);
  void output(const Tensor &tensor, int64_t heads, int64_t length, const Strides4 &strides);
  void setStats(const Tensor &stats);
  template <typename Options> Options options() const;

  cudnnHandle_t handle;
  Attention attention;
  fe::graph::Graph graph;
  int64_t operands = 0; // so far; their numbers begin at 1
  uint64_t workspace = 0;
};

void must(fe::error_t result) { require(result.is_good(), "cuDNN: " + result.get_message()); }

void FrontendGraph::describe(const CudnnTarget &target) {
  graph
      .set_io_data_type(attention.dtype == DType::BF16 ? fe::DataType_t::BFLOAT16
                                                       : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  // Else the frontend would ask a CUDA runtime of its own.
  graph.set_sm_version(target.capability);
  if (handle)
    return;
  auto properties = std::make_shared<fe::DeviceProperties>();
  must(properties->deserialize({target.description.begin(), target.description.end()}));
  graph.set_device_properties(properties);
}

Tensor FrontendGraph::input(int64_t heads, int64_t length, const Strides4 &strides) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_uid(++operands)
                          .set_dim({attention.call.b, heads, length, attention.call.d})
                          .set_stride({strides.b, strides.h, strides.s, strides.d}));
}

void FrontendGraph::output(const Tensor &tensor, int64_t heads, int64_t length,
                           const Strides4 &strides) {
  tensor->set_output(true)
      .set_uid(++operands)
      .set_dim({attention.call.b, heads, length, attention.call.d})
      .set_stride({strides.b, strides.h, strides.s, strides.d});
}

void FrontendGraph::setStats(const Tensor &stats) {
  const AttentionCall &call = attention.call;
  stats->set_uid(++operands)
      .set_dim({call.b, call.h, call.s, 1})
      .set_stride({call.h * call.s, call.s, 1, 1})
      .set_data_type(fe::DataType_t::FLOAT);
}

/// Query i sees keys j <= i + t - s: a band whose diagonal ends in the last row and column.
template <typename Options> Options FrontendGraph::options() const {
  const AttentionCall &call = attention.call;
  Options options;
  options.set_name("attention").set_attn_scale(call.scale);
  if (call.causal)
    options
        .set_diagonal_alignment(call.s == call.t ? fe::DiagonalAlignment_t::TOP_LEFT
                                                 : fe::DiagonalAlignment_t::BOTTOM_RIGHT)
        .set_diagonal_band_right_bound(0);
  return options;
}

void FrontendGraph::addForward() {
  const AttentionCall &call = attention.call;
  Tensor q = input(call.h, call.s, call.q), k = input(call.g, call.t, call.k),
         v = input(call.g, call.t, call.v);
  auto [o, stats] =
      graph.sdpa(q, k, v, options<fe::graph::SDPA_attributes>().set_generate_stats(true));
  output(o, call.h, call.s, call.o);
  setStats(stats);
  stats->set_output(true);
}

void FrontendGraph::addGradient() {
  const AttentionCall &call = attention.call;
  Tensor dO = input(call.h, call.s, call.dO), q = input(call.h, call.s, call.q),
         k = input(call.g, call.t, call.k), v = input(call.g, call.t, call.v),
         o = input(call.h, call.s, call.o);
  Tensor stats = graph.tensor(fe::graph::Tensor_attributes());
  setStats(stats);
  auto [dQ, dK, dV] = graph.sdpa_backward(
      q, k, v, o, dO, stats,
      options<fe::graph::SDPA_backward_attributes>().set_deterministic_algorithm(true));
  output(dQ, call.h, call.s, call.dQ);
  output(dK, call.g, call.t, call.dK);
  output(dV, call.g, call.t, call.dV);
}

void FrontendGraph::plan() {
  must(graph.validate());
  must(handle ? graph.build_operation_graph(handle) : graph.build_operation_graph());
  must(graph.create_execution_plans({fe::HeurMode_t::A}));
  must(graph.check_support());
  must(graph.build_plans());
  int64_t bytes = 0;
  must(graph.get_workspace_size(bytes));
  workspace = static_cast<uint64_t>(bytes);
}

} // namespace

std::unique_ptr<SdpaGraph> buildSdpaGraph(const CudnnLibrary &library, const CudnnTarget &target,
                                          const KernelSpec &spec) {
  fe::cudnn_dlhandle = library.library().rawHandle();
  return std::make_unique<FrontendGraph>(target, sdpaOf(spec));
}

} // namespace deepshard::runtime::cuda
