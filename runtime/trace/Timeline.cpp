//===- Timeline.cpp - when each task ran ------------------------------------------------------===//

#include "runtime/trace/Timeline.h"

#include "runtime/plan/File.h"
#include "runtime/plan/plan.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace deepshard::runtime {

using Json = nlohmann::ordered_json;

Timeline::Timeline(const planpb::Plan &plan) : start(Clock::now()) {
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

void Timeline::write(const std::string &path) const {
  OutputFile file(path);
  std::string text = "[\n";
  for (size_t i = 0; i < streams.size(); ++i) {
    Json name = {{"ph", "M"},
                 {"name", "thread_name"},
                 {"pid", 0},
                 {"tid", i},
                 {"args", {{"name", names[i]}}}};
    text += (i == 0 ? "" : ",\n") + name.dump();
    for (const Span &span : streams[i]) {
      const planpb::Task &task = *span.task;
      double length = microseconds(span.end - span.begin);
      Json line = {{"ph", "X"}, {"pid", 0}, {"tid", i}};
      line["name"] = task.has_launch() ? task.launch().kernel() : task.has_feed() ? "feed" : "copy";
      line["cat"] = task.phase();
      line["ts"] = microseconds(span.begin - start);
      line["dur"] = length;
      Json &details = line["args"];
      details = {
          {"step", span.step}, {"micro_batch", span.microBatch}, {"location", task.location()}};
      if (task.launch().flops() > 0)
        details["gflops"] =
            static_cast<double>(task.launch().flops()) / std::max(length, 1e-3) / 1e3;
      text += ",\n" + line.dump(-1, ' ', false, Json::error_handler_t::replace);
      if (text.size() > (size_t{1} << 20)) {
        file.write(text.data(), text.size());
        text.clear();
      }
    }
  }
  text += "\n]\n";
  file.write(text.data(), text.size());
  file.commit();
}

} // namespace deepshard::runtime
