//===- Serialize.cpp - the plan dialect becomes a plan file's content -------------------------===//

#include "passes/plan/Serialize.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"
#include "passes/kernels/KernelSpecs.h"
#include "runtime/plan/Types.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <filesystem>
#include <sys/stat.h>

using namespace mlir;

namespace deepshard {

std::string locationText(Location location) {
  std::string path, source;
  location->walk([&](Location part) {
    if (auto name = dyn_cast<NameLoc>(part); name && path.empty())
      path = name.getName().str();
    if (auto file = dyn_cast<FileLineColLoc>(part); file && source.empty())
      source = (file.getFilename().getValue() + ":" + Twine(file.getLine())).str();
    return WalkResult::advance();
  });
  if (source.empty())
    return path;
  return path.empty() ? source : path + " (" + source + ")";
}

namespace {

class Serializer {
public:
  Serializer(plan::ProgramOp program, planpb::Plan &plan)
      : program(program), plan(plan), out(*plan.add_programs()) {
    if (sharding::MeshOp op = sharding::onlyMesh(program))
      mesh = op.getAxes();
  }

  LogicalResult run() {
    out.set_name(program.getName().str());
    for (auto stream : program.getStreams().getAsRange<StringAttr>())
      out.add_streams(stream.str());
    addMesh();
    addArena(program.getArenaBytes(), program.getMaxLiveBytes(), /*window=*/false);
    if (program.getWindowBytes())
      addArena(program.getWindowBytes(), program.getWindowMaxLiveBytes(), /*window=*/true);
    for (auto buffer : program.getBody().getOps<plan::BufferOp>())
      if (failed(addBuffer(buffer)))
        return failure();
    for (auto segment : program.getBody().getOps<plan::SegmentOp>())
      addSegment(segment);
    for (Operation &op : program.getBody().getOps())
      if (failed(addTableEntry(&op)))
        return failure();
    addFlops();
    return success();
  }

private:
  void addMesh() {
    plan.set_ranks(mesh ? mesh.getRanks() : 1);
    if (!mesh || plan.has_mesh())
      return;
    for (auto [name, size] : llvm::zip_equal(mesh.getNames(), mesh.getSizes())) {
      planpb::MeshAxis &axis = *plan.mutable_mesh()->add_axes();
      axis.set_name(name.str());
      axis.set_size(size);
    }
  }

  void addArena(std::optional<uint64_t> bytes, std::optional<uint64_t> maxLive, bool window) {
    planpb::Arena &arena = *out.add_arenas();
    arena.set_space(planpb::DEVICE);
    arena.set_bytes(bytes.value_or(0));
    arena.set_max_live_bytes(maxLive.value_or(0));
    arena.set_alignment(4096);
    arena.set_window(window);
  }

  planpb::AxisRef axis(sharding::AxisRefAttr attribute) {
    planpb::AxisRef result;
    result.set_axis(*mesh.find(attribute.getName().getValue()));
    result.set_pre_size(attribute.getPreSize());
    result.set_size(attribute.getSize());
    return result;
  }

  planpb::AxisList axes(ArrayRef<sharding::AxisRefAttr> list) {
    planpb::AxisList result;
    for (sharding::AxisRefAttr attribute : list)
      *result.add_axes() = axis(attribute);
    return result;
  }

  LogicalResult addBuffer(plan::BufferOp buffer) {
    if (!buffer.getOffset())
      return buffer.emitOpError("has no offset; run pack-buffers first");
    indices[buffer] = out.buffers_size();
    planpb::Buffer &result = *out.add_buffers();
    result.set_name(buffer.getName().str());
    result.set_bytes(buffer.getBytes());
    result.set_alignment(buffer.getAlign());
    result.set_lifetime(static_cast<planpb::Lifetime>(buffer.getLifetime()));
    result.set_kind(buffer.getKind().value_or("").str());
    result.set_arena(buffer.getWindow() ? 1 : 0);
    result.set_offset(*buffer.getOffset());
    if (auto constant = dyn_cast_or_null<DenseElementsAttr>(buffer.getConstantAttr())) {
      ArrayRef<char> raw = constant.getRawData();
      if (constant.isSplat())
        result.set_constant(std::string(buffer.getBytes(), raw.front()));
      else
        result.set_constant(raw.data(), raw.size());
    }
    return success();
  }

  planpb::View view(Value value) {
    auto op = value.getDefiningOp<plan::ViewOp>();
    plan::ViewType type = op.getType();
    planpb::View result;
    result.set_buffer(indices.lookup(op.getBuffer().getDefiningOp()));
    result.set_offset(op.getOffset());
    result.set_dtype(runtime::schemaType(graph::toDType(type.getElementType())));
    result.mutable_shape()->Add(type.getShape().begin(), type.getShape().end());
    result.mutable_strides()->Add(type.getStrides().begin(), type.getStrides().end());
    if (std::optional<ArrayAttr> strides = op.getAxisStrides())
      for (auto stride : strides->getAsRange<plan::AxisStrideAttr>()) {
        planpb::AxisStride &entry = *result.add_axis_strides();
        *entry.mutable_axis() = axis(stride.getAxis());
        entry.set_bytes(stride.getBytes());
      }
    return result;
  }

  void addSegment(plan::SegmentOp segment) {
    segments[segment.getName()] = out.segments_size();
    planpb::Segment &result = *out.add_segments();
    result.set_name(segment.getName().str());
    for (Operation &op : segment.getBody().getOps()) {
      if (isa<plan::ViewOp>(op))
        continue;
      planpb::Task &task = *result.add_tasks();
      task.set_location(locationText(op.getLoc()));
      llvm::TypeSwitch<Operation *>(&op)
          .Case([&](plan::LaunchOp launch) { fill(launch, task); })
          .Case([&](plan::FeedOp feed) { fill(feed, task); })
          .Case([&](plan::CollectiveOp collective) { fill(collective, task); })
          .Case([&](plan::RecordOp record) {
            task.set_stream(record.getStream());
            task.set_record(record.getEvent());
            out.set_events(std::max<uint32_t>(out.events(), record.getEvent() + 1));
          })
          .Case([&](plan::WaitOp wait) {
            task.set_stream(wait.getStream());
            task.set_wait(wait.getEvent());
          });
    }
  }

  void fill(plan::LaunchOp op, planpb::Task &task) {
    task.set_stream(op.getStream());
    task.set_phase(op.getPhase().str());
    planpb::Launch &launch = *task.mutable_launch();
    launch.set_provider(op.getProvider().str());
    launch.set_kernel(op.getKernel().str());
    for (Value input : op.getInputs())
      *launch.add_inputs() = view(input);
    for (Value output : op.getOutputs())
      *launch.add_outputs() = view(output);
    if (Value workspace = op.getWorkspace())
      *launch.mutable_workspace() = view(workspace);
    runtime::Attributes attributes = graph::toKernelAttributes(op.getKernelAttributes());
    for (auto &[name, value] : attributes.all())
      (*launch.mutable_attributes())[name] = attribute(value);
    if (attributes.flag("atomic"))
      plan.add_nondeterministic(llvm::formatv("{0} ({1}) adds by atomics, in any order",
                                              launch.kernel(), task.location()));
    launch.set_flops(op.getFlops());
    const runtime::KernelProvider *provider = plannedProvider(launch.provider());
    if (std::string library = provider ? provider->library() : ""; !library.empty())
      (*plan.mutable_libraries())[launch.provider()] = std::move(library);
  }

  void fill(plan::CollectiveOp op, planpb::Task &task) {
    task.set_stream(op.getStream());
    task.set_phase(op.getPhase().str());
    planpb::Collective &collective = *task.mutable_collective();
    collective.set_kind(llvm::StringSwitch<planpb::Collective::Kind>(op.getKind())
                            .Case("all_reduce", planpb::Collective::ALL_REDUCE)
                            .Case("reduce_scatter", planpb::Collective::REDUCE_SCATTER)
                            .Case("all_gather", planpb::Collective::ALL_GATHER)
                            .Case("all_to_all", planpb::Collective::ALL_TO_ALL)
                            .Default(planpb::Collective::PERMUTE));
    collective.set_reduction(llvm::StringSwitch<planpb::Collective::Reduction>(op.getReduction())
                                 .Case("max", planpb::Collective::MAX)
                                 .Case("min", planpb::Collective::MIN)
                                 .Default(planpb::Collective::SUM));
    *collective.mutable_group() = axes(op.getGroup().getAxes());
    *collective.mutable_input() = view(op.getInput());
    *collective.mutable_output() = view(op.getOutput());
    collective.set_split(op.getSplit());
    collective.set_concat(op.getConcat());
    for (int64_t source : op.getSources())
      collective.add_sources(source);
    collective.set_sequence(op.getSequence());
  }

  static planpb::Attribute attribute(const runtime::AttributeValue &value) {
    planpb::Attribute result;
    if (auto *integer = std::get_if<int64_t>(&value))
      result.set_integer(*integer);
    else if (auto *number = std::get_if<double>(&value))
      result.set_number(*number);
    else if (auto *flag = std::get_if<bool>(&value))
      result.set_flag(*flag);
    else if (auto *text = std::get_if<std::string>(&value))
      result.set_text(*text);
    else if (auto *integers = std::get_if<std::vector<int64_t>>(&value))
      result.mutable_integers()->mutable_values()->Add(integers->begin(), integers->end());
    else if (auto *numbers = std::get_if<std::vector<double>>(&value))
      result.mutable_numbers()->mutable_values()->Add(numbers->begin(), numbers->end());
    return result;
  }

  void fill(plan::FeedOp op, planpb::Task &task) {
    task.set_stream(op.getStream());
    auto [it, inserted] = inputs.try_emplace(op.getInput(), plan.inputs_size());
    *task.mutable_feed()->mutable_view() = view(op.getView());
    task.mutable_feed()->set_input(it->second);
    if (!inserted)
      return;
    planpb::Input &input = *plan.add_inputs();
    input.set_name(op.getInput().str());
    input.set_dtype(task.feed().view().dtype());
    *input.mutable_shape() = task.feed().view().shape();
    input.set_batch_dimension(op.getBatchDimension());
    if (std::optional<sharding::LayoutAttr> layout = op.getLayout())
      for (sharding::AxisListAttr list : layout->getDims())
        *input.mutable_layout()->add_dims() = axes(list.getAxes());
    if (std::optional<uint64_t> bound = op.getIndexBound())
      input.set_index_bound(*bound);
    if (std::optional<uint64_t> ignored = op.getIgnoredIndex())
      input.set_ignored_index(static_cast<int64_t>(*ignored));
  }

  LogicalResult addTableEntry(Operation *op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](plan::ScheduleOp schedule) {
          for (auto call : schedule.getCalls().getAsRange<plan::CallAttr>()) {
            planpb::SegmentCall &result = *out.add_schedule();
            result.set_segment(segments.lookup(call.getSegment().getValue()));
            result.set_micro_batch(call.getMicroBatch());
            result.set_slot(call.getSlot());
          }
          return success();
        })
        .Case([&](plan::RunStateOp op) {
          planpb::Slot &slot = *out.add_run_state();
          if (sharding::AxisListAttr list = op.getOverAttr())
            *slot.mutable_axes() = axes(list.getAxes());
          return addSlot(slot, op.getName(), op.getView());
        })
        .Case([&](plan::MetricOp op) {
          return addSlot(*out.add_metrics(), op.getName(), op.getView());
        })
        .Case([&](plan::BucketOp op) { return addBucket(op); })
        .Case([&](plan::ParameterOp op) { return addParameter(op); })
        .Default([](Operation *) { return success(); });
  }

  LogicalResult addSlot(planpb::Slot &slot, StringRef name, Value place) {
    slot.set_name(name.str());
    *slot.mutable_view() = view(place);
    return success();
  }

  LogicalResult addBucket(plan::BucketOp op) {
    buckets[op.getName()] = out.buckets_size();
    planpb::Bucket &bucket = *out.add_buckets();
    bucket.set_name(op.getName().str());
    bucket.set_kind(op.getKind().str());
    bucket.set_elements(op.getElements());
    if (!op.getOver().empty())
      *bucket.mutable_axes() = axes(op.getOver().getAxes());
    *bucket.mutable_view() = view(op.getView());
    if (std::optional<ElementsAttr> initial = op.getInitial()) {
      graph::HostTensor tensor = graph::toHostTensor(*initial);
      auto *content = reinterpret_cast<const char *>(tensor.data());
      bucket.set_initial(std::string(content, content + tensor.size()));
    }
    return success();
  }

  LogicalResult addParameter(plan::ParameterOp op) {
    planpb::Parameter &parameter = *plan.add_parameters();
    parameter.set_name(op.getName().str());
    for (auto alias : op.getAliases().getAsRange<StringAttr>())
      parameter.add_aliases(alias.str());
    auto type = cast<RankedTensorType>(op.getShape());
    parameter.set_dtype(runtime::schemaType(graph::toDType(type.getElementType())));
    parameter.mutable_shape()->Add(type.getShape().begin(), type.getShape().end());
    if (op.getCut() != type.getShape())
      parameter.mutable_cut_shape()->Add(op.getCut().begin(), op.getCut().end());
    if (op.getPadded() != op.getCut())
      parameter.mutable_padded_shape()->Add(op.getPadded().begin(), op.getPadded().end());
    if (std::optional<sharding::LayoutAttr> layout = op.getLayout())
      for (sharding::AxisListAttr list : layout->getDims())
        *parameter.mutable_layout()->add_dims() = axes(list.getAxes());
    parameter.set_bucket(buckets.lookup(op.getBucket()));
    parameter.set_bucket_offset(op.getOffset());
    if (std::optional<StringRef> copy = op.getCopy())
      parameter.set_copy_bucket(buckets.lookup(*copy));
    parameter.set_trainable(op.getTrainable());
    parameter.set_file(-1);
    auto storage = dyn_cast_or_null<graph::StorageAttr>(op.getStorageAttr());
    if (!storage)
      return success();
    FailureOr<int32_t> file = fileIndex(op, storage.getFile().str());
    if (failed(file))
      return failure();
    parameter.set_file(*file);
    parameter.set_file_offset(storage.getOffset());
    parameter.set_file_dtype(runtime::schemaType(graph::toDType(storage.getElementType())));
    ArrayRef<int64_t> strides = storage.getStrides().asArrayRef();
    parameter.mutable_file_strides()->Add(strides.begin(), strides.end());
    return success();
  }

  FailureOr<int32_t> fileIndex(Operation *op, const std::string &path) {
    auto [it, inserted] = files.try_emplace(path, plan.files_size());
    if (!inserted)
      return it->second;
    struct stat status;
    if (stat(path.c_str(), &status) != 0)
      return op->emitOpError() << "has its initial value in " << path << ", which cannot be read";
    planpb::DataFile &file = *plan.add_files();
    file.set_path(std::filesystem::absolute(path).string());
    file.set_bytes(status.st_size);
    file.set_modified_ns(status.st_mtim.tv_sec * uint64_t(1'000'000'000) + status.st_mtim.tv_nsec);
    return it->second;
  }

  void addFlops() {
    uint64_t flops = plan.flops_per_step();
    for (const planpb::SegmentCall &call : out.schedule())
      for (const planpb::Task &task : out.segments(call.segment()).tasks())
        flops += task.launch().flops();
    plan.set_flops_per_step(flops);
  }

  plan::ProgramOp program;
  planpb::Plan &plan;
  planpb::Program &out;
  llvm::DenseMap<Operation *, uint32_t> indices;
  sharding::MeshAttr mesh; // null: one rank
  llvm::StringMap<uint32_t> segments;
  llvm::StringMap<uint32_t> buckets;
  llvm::StringMap<uint32_t> inputs;
  llvm::StringMap<int32_t> files;
};

} // namespace

LogicalResult serialize(plan::ProgramOp program, planpb::Plan &plan) {
  return Serializer(program, plan).run();
}

} // namespace deepshard
