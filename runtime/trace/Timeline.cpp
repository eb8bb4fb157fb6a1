//===- Timeline.cpp - when each task ran ------------------------------------------------------===//

#include "runtime/trace/Timeline.h"

#include "runtime/plan/Geometry.h"
#include "runtime/plan/Types.h"
#include "runtime/plan/plan.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace deepshard::runtime {

using Json = nlohmann::ordered_json;

Timeline::Timeline(const planpb::Plan &plan, int rank, Clock::time_point start)
    : rank(rank), start(start) {
  for (const planpb::Program &program : plan.programs())
    if (program.name() == "train")
      names.assign(program.streams().begin(), program.streams().end());
  streams.resize(names.size());
  for (std::vector<Span> &spans : streams)
    spans.reserve(kMostSpans / names.size());
}

void Timeline::add(const planpb::Task &task, uint64_t step, uint32_t microBatch,
                   Clock::time_point begin, Clock::time_point end) noexcept {
  std::vector<Span> &spans = streams[task.stream()];
  if (spans.size() < spans.capacity())
    spans.push_back({&task, step, microBatch, begin, end});
}

static double microseconds(Timeline::Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

/// What a task is called.
static std::string titleOf(const planpb::Task &task) {
  if (task.has_launch())
    return task.launch().kernel();
  if (task.has_collective())
    return nameOf(task.collective().kind());
  return task.has_feed() ? "feed" : "copy";
}

void Timeline::write(const std::function<void(const std::string &)> &put) const {
  auto add = [&](const Json &event) {
    put(event.dump(-1, ' ', false, Json::error_handler_t::replace) + ",\n");
  };
  auto name = [&](const char *kind, size_t stream, const std::string &text) {
    add({{"ph", "M"}, {"name", kind}, {"pid", rank}, {"tid", stream}, {"args", {{"name", text}}}});
  };
  name("process_name", 0, "rank " + std::to_string(rank));
  for (size_t i = 0; i < streams.size(); ++i) {
    name("thread_name", i, names[i]);
    for (const Span &span : streams[i]) {
      const planpb::Task &task = *span.task;
      double length = microseconds(span.end - span.begin);
      Json line = {{"ph", "X"}, {"pid", rank}, {"tid", i}};
      line["name"] = titleOf(task);
      line["cat"] = task.phase();
      line["ts"] = microseconds(span.begin - start);
      line["dur"] = length;
      Json &details = line["args"];
      details = {
          {"step", span.step}, {"micro_batch", span.microBatch}, {"location", task.location()}};
      if (task.launch().flops() > 0)
        details["gflops"] =
            static_cast<double>(task.launch().flops()) / std::max(length, 1e-3) / 1e3;
      if (task.has_collective())
        details["bytes"] = byteSpan(task.collective().input()).value_or(0);
      add(line);
    }
  }
}

} // namespace deepshard::runtime
