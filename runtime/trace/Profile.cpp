//===- Profile.cpp - where the time of a step goes --------------------------------------------===//

#include "runtime/trace/Profile.h"

#include "runtime/plan/Geometry.h"
#include "runtime/plan/Types.h"
#include "runtime/plan/plan.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace deepshard::runtime {

/// One line of a table.
struct Profile::Sums {
  std::string name;
  uint64_t calls = 0;
  double seconds = 0, flops = 0, bytes = 0;

  void add(const Row &row) {
    calls += row.calls;
    seconds += row.seconds;
    flops += static_cast<double>(row.flops) * static_cast<double>(row.calls);
    bytes += static_cast<double>(row.bytes) * static_cast<double>(row.calls);
  }
  void add(const Sums &other) {
    calls += other.calls;
    seconds += other.seconds;
    flops += other.flops;
    bytes += other.bytes;
  }
};

namespace {

using Views = google::protobuf::RepeatedPtrField<planpb::View>;

std::string shapesOf(const Views &views) {
  std::string text;
  for (const planpb::View &view : views)
    text += fmt::format("{}{}", text.empty() ? "" : ", ",
                        view.shape().empty() ? "scalar"
                                             : fmt::format("{}", fmt::join(view.shape(), "x")));
  return text;
}

uint64_t bytesOf(const planpb::View &view) {
  return elementCount(view.shape()).value_or(0) * elementBytes(view.dtype());
}

uint64_t bytesOf(const Views &views) {
  uint64_t bytes = 0;
  for (const planpb::View &view : views)
    bytes += bytesOf(view);
  return bytes;
}

/// Of a table from which rows are taken no more is read than is written.
uint64_t bytesOf(const planpb::Launch &launch) {
  uint64_t bytes = bytesOf(launch.inputs()) + bytesOf(launch.outputs());
  if (launch.kernel() == "embedding" || launch.kernel() == "gather") {
    const uint64_t table = bytesOf(launch.inputs(0));
    bytes -= table - std::min(table, bytesOf(launch.outputs(0)));
  }
  return bytes;
}

Views listOf(const planpb::View &view) {
  Views list;
  *list.Add() = view;
  return list;
}

} // namespace

Profile::Profile(const planpb::Plan &plan) {
  std::map<std::pair<std::string, std::string>, size_t> known;
  for (const planpb::Program &program : plan.programs()) {
    if (program.name() != "train")
      continue;
    streams.assign(program.streams().begin(), program.streams().end());
    for (const planpb::Segment &segment : program.segments())
      for (const planpb::Task &task : segment.tasks()) {
        Row row;
        if (task.has_launch()) {
          const planpb::Launch &launch = task.launch();
          row.kernel = launch.kernel() + ", " + launch.provider();
          row.shapes = shapesOf(launch.inputs()) + " -> " + shapesOf(launch.outputs());
          row.flops = launch.flops();
          row.bytes = bytesOf(launch);
        } else if (task.has_collective()) {
          row.kernel = nameOf(task.collective().kind());
          row.shapes = shapesOf(listOf(task.collective().input()));
          row.bytes = bytesOf(task.collective().input()) + bytesOf(task.collective().output());
        } else if (task.has_copy()) {
          row.kernel = "copy";
          row.shapes = shapesOf(listOf(task.copy().from()));
          row.bytes = 2 * bytesOf(task.copy().from());
        } else if (task.has_feed()) {
          row.kernel = "feed";
          row.shapes = shapesOf(listOf(task.feed().view()));
          row.bytes = bytesOf(task.feed().view());
        } else {
          continue;
        }
        row.stream = task.stream();
        // A row is written to by one stream.
        auto key = std::pair(fmt::format("{} {}", row.stream, row.kernel), row.shapes);
        auto [it, isNew] = known.try_emplace(key, rows.size());
        if (isNew)
          rows.push_back(std::move(row));
        rowOf[&task] = it->second;
      }
  }
}

void Profile::add(const planpb::Task &task, uint64_t step, Clock::duration length) noexcept {
  auto it = rowOf.find(&task);
  if (step == 1 || it == rowOf.end())
    return;
  Row &row = rows[it->second];
  ++row.calls;
  row.seconds += std::chrono::duration<double>(length).count();
}

void Profile::endStep(uint64_t step, double seconds) noexcept {
  if (step == 1)
    return;
  ++steps;
  stepSeconds += seconds;
}

std::string Profile::table(std::vector<Sums> sums, size_t most, const MachinePeaks &peaks) const {
  std::sort(sums.begin(), sums.end(), [](const Sums &a, const Sums &b) {
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.name < b.name;
  });
  if (sums.size() > most) {
    Sums others;
    for (size_t i = most; i < sums.size(); ++i)
      others.add(sums[i]);
    others.name = fmt::format("{} others", sums.size() - most);
    sums.resize(most);
    sums.push_back(std::move(others));
  }
  std::string text = fmt::format("{:>10} {:>6} {:>7} {:>9} {:>16} {:>9} {:>16}\n", "ms", "%",
                                 "calls", "GFLOP", "GFLOP/s", "MB", "GB/s");
  auto amount = [](double each) {
    return each == 0 ? std::string("-") : fmt::format("{:.{}f}", each, each < 100 ? 3 : 0);
  };
  // A rate with its share of a peak.
  auto rate = [](double amount, double seconds, double peak) {
    if (amount == 0 || seconds == 0)
      return std::string("-");
    const double perSecond = amount / seconds;
    return peak > 0 ? fmt::format("{:.1f} ({:.0f} %)", perSecond * 1e-9, 100 * perSecond / peak)
                    : fmt::format("{:.1f}", perSecond * 1e-9);
  };
  for (const Sums &line : sums)
    text += fmt::format("{:>10.2f} {:>6.1f} {:>7.0f} {:>9} {:>16} {:>9} {:>16}  {}\n",
                        1e3 * line.seconds / static_cast<double>(steps),
                        100 * line.seconds / stepSeconds,
                        static_cast<double>(line.calls) / static_cast<double>(steps),
                        amount(1e-9 * line.flops / static_cast<double>(steps)),
                        rate(line.flops, line.seconds, peaks.flopsPerSecond),
                        amount(1e-6 * line.bytes / static_cast<double>(steps)),
                        rate(line.bytes, line.seconds, peaks.bytesPerSecond), line.name);
  return text;
}

std::string Profile::text(const MachinePeaks &peaks) const {
  if (steps == 0)
    return "";
  std::map<std::string, Sums> byKernel;
  std::vector<Sums> byShape;
  std::vector<double> busy(streams.size(), 0);
  for (const Row &row : rows) {
    if (row.calls == 0)
      continue;
    byKernel[row.kernel].add(row);
    byKernel[row.kernel].name = row.kernel;
    Sums &line = byShape.emplace_back();
    line.name = row.kernel + ": " + row.shapes;
    line.add(row);
    busy[row.stream] += row.seconds;
  }
  std::vector<Sums> kernels;
  for (auto &[name, line] : byKernel)
    kernels.push_back(std::move(line));
  std::string text = fmt::format("a step of {:.2f} ms (mean of {}, without the first)",
                                 1e3 * stepSeconds / static_cast<double>(steps), steps);
  if (peaks.flopsPerSecond > 0)
    text += fmt::format("; peaks: {:.1f} GFLOP/s (matmul in {})", peaks.flopsPerSecond * 1e-9,
                        nameOf(peaks.matmulType));
  if (peaks.bytesPerSecond > 0)
    text += fmt::format("{} {:.1f} GB/s (copy)",
                        peaks.flopsPerSecond > 0 ? "," : "; peaks:", peaks.bytesPerSecond * 1e-9);
  constexpr size_t kMostShapes = 25;
  text += "\n\nby kernel\n" + table(std::move(kernels), SIZE_MAX, peaks) + "\nby shape\n" +
          table(std::move(byShape), kMostShapes, peaks) + "\n";
  for (size_t i = 0; i < streams.size(); ++i)
    text += fmt::format("stream {} is busy {:.1f} % of the time\n", streams[i],
                        100 * busy[i] / stepSeconds);
  return text;
}

} // namespace deepshard::runtime
