//===- DeviceCode.cpp - checks what is special about plans for CUDA ---------------------------===//
//
// The code is looked at, not loaded: a plan can be checked on a machine without a GPU.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/cuda/StoredGraph.h"
#include "runtime/kernels/generated/Generated.h"
#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/SharedObject.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace deepshard::runtime {

namespace {

/// The functions that PTX offers to be launched: what follows ".entry".
std::set<std::string_view> entriesOf(std::string_view ptx) {
  constexpr std::string_view kEntry = ".entry";
  std::set<std::string_view> names;
  for (size_t at = ptx.find(kEntry); at != std::string_view::npos; at = ptx.find(kEntry, at)) {
    size_t begin = ptx.find_first_not_of(" \t\r\n", at += kEntry.size());
    size_t end = std::min(ptx.find_first_of("( \t\r\n", begin), ptx.size());
    if (begin < end)
      names.insert(ptx.substr(begin, end - begin));
  }
  return names;
}

/// "sm_90", "compute_100a": a prefix, digits, and perhaps an a.
bool isTarget(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix))
    return false;
  text.remove_prefix(prefix.size());
  if (text.ends_with('a'))
    text.remove_suffix(1);
  return text.size() >= 2 && text.size() <= 3 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

/// The functions of one image.
std::set<std::string_view> functionsOf(const planpb::DeviceCode &code, Faults &faults) {
  std::string_view image = code.image();
  if (isTarget(code.target(), "compute_")) {
    if (image.find(".version") == std::string_view::npos)
      faults.add("device code for {}: is no PTX, it has no .version", code.target());
    return entriesOf(image);
  }
  if (!isTarget(code.target(), "sm_")) {
    faults.add("device code for {}: expected sm_NN or compute_NN", code.target());
    return {};
  }
  SharedObject cubin = readCubin(image);
  if (!cubin.fault.empty())
    faults.add("device code for {}: is no cubin: {}", code.target(), cubin.fault);
  return std::move(cubin.functions);
}

bool isRowMajor(const planpb::View &view) {
  int64_t expected = 1;
  for (int i = view.shape_size(); i-- > 0;) {
    if (i >= view.strides_size() || (view.shape(i) > 1 && view.strides(i) != expected))
      return false;
    expected *= std::max<int64_t>(view.shape(i), 1);
  }
  return true;
}

class DeviceCheck {
public:
  DeviceCheck(const planpb::Plan &plan, Faults &faults) : plan(plan), faults(faults) {
    for (const planpb::DeviceCode &code : plan.device_code())
      functions.push_back(functionsOf(code, faults));
  }

  void checkProgram(const planpb::Program &program) {
    for (int i = 0; i < program.arenas_size(); ++i)
      if (program.arenas(i).space() == planpb::DISK)
        faults.add("arena {} is on disk, where CUDA does not reach", i);
    for (const planpb::Segment &segment : program.segments())
      for (int i = 0; i < segment.tasks_size(); ++i)
        checkTask(segment, i);
  }

private:
  void checkTask(const planpb::Segment &segment, int index) {
    const planpb::Task &task = segment.tasks(index);
    if (task.has_feed()) {
      checkFeed(segment, index);
    } else if (task.launch().provider() == "generated") {
      checkLaunch(task.launch(), describeTask(segment, index));
    } else if (auto graph = task.launch().attributes().find(kGraphAttribute);
               graph != task.launch().attributes().end() &&
               (!graph->second.has_integer() || graph->second.integer() < 0 ||
                graph->second.integer() >= plan.library_graphs_size())) {
      faults.add("{}: names no graph of the plan's {}", describeTask(segment, index),
                 plan.library_graphs_size());
    }
  }

  /// A segment is captured without its feeds, which go before it.
  void checkFeed(const planpb::Segment &segment, int index) {
    const planpb::Task &task = segment.tasks(index);
    if (task.stream() != 0 || (index > 0 && !segment.tasks(index - 1).has_feed()))
      faults.add("{}: a feed comes before all other tasks of its segment, on stream 0",
                 describeTask(segment, index));
    if (!isRowMajor(task.feed().view()))
      faults.add("{}: its view is not row-major without gaps", describeTask(segment, index));
  }

  void checkLaunch(const planpb::Launch &launch, const std::string &what) {
    auto numbers = [&](const char *name) {
      auto found = launch.attributes().find(name);
      return found == launch.attributes().end() ? 0 : found->second.integers().values_size();
    };
    int loops = numbers("shared_bytes");
    if (loops == 0 || numbers("grid") != 3 * loops || numbers("block") != 3 * loops) {
      faults.add("{}: a generated kernel needs shared_bytes, and three numbers of grid and of "
                 "block, for each of its loops",
                 what);
      return;
    }
    if (functions.empty())
      faults.add("{}: the plan has no device code", what);
    for (int loop = 0; loop < loops; ++loop)
      for (size_t i = 0; i < functions.size(); ++i)
        if (std::string symbol = loopSymbol(launch.kernel(), static_cast<size_t>(loop));
            !functions[i].contains(symbol))
          faults.add("{}: the device code for {} has no function {}", what,
                     plan.device_code(static_cast<int>(i)).target(), symbol);
  }

  const planpb::Plan &plan;
  Faults &faults;
  std::vector<std::set<std::string_view>> functions; // per image
};

} // namespace

void checkDeviceCode(const planpb::Plan &plan, Faults &faults) {
  DeviceCheck check(plan, faults);
  for (const planpb::Program &program : plan.programs())
    check.checkProgram(program);
}

} // namespace deepshard::runtime
