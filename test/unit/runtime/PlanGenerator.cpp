//===- PlanGenerator.cpp - random small plans of several ranks, and their mutants
//----------------===//

#include "test/unit/runtime/PlanGenerator.h"

#include "test/unit/runtime/RankPlans.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>

namespace deepshard::runtime::test {

namespace {

using planpb::Collective;

constexpr int64_t kPage = 512; // elements of a page: windows are aligned to pages
constexpr uint64_t kPageBytes = 4096;

/// A task before it has a place in a program.
struct Draft {
  std::vector<planpb::View> reads, writes;
  std::optional<Collective::Kind> collective;
  planpb::AxisList group;
  bool mayUseSideStream = false;
};

using Drafts = std::deque<Draft>;

uint32_t below(std::mt19937 &random, size_t limit) {
  return static_cast<uint32_t>(random() % limit);
}

bool chance(std::mt19937 &random, double probability) {
  return std::uniform_real_distribution<>()(random) < probability;
}

class Generator {
public:
  Generator(std::mt19937 &random, const std::vector<std::pair<const char *, uint32_t>> &mesh,
            uint32_t streams)
      : random(random), b(mesh), streams(streams) {
    if (streams > 1)
      b.program().add_streams("comm");
    for (size_t i = 0; i < mesh.size(); ++i)
      groups.push_back(wholeAxes({static_cast<uint32_t>(i)}));
  }

  void addPattern();
  void addChain();
  void interleave();
  /// Adds a chain to what is interleaved already, at random places.
  void insertChain();
  planpb::Plan finish(uint32_t calls);

private:
  planpb::View window(planpb::Lifetime lifetime, int64_t pages) {
    return b.window(fmt::format("w{}", b.program().buffers_size()), lifetime, pages * kPage);
  }
  planpb::View local(planpb::Lifetime lifetime) {
    planpb::View view =
        b.buffer(fmt::format("b{}", b.program().buffers_size()), lifetime, planpb::F64, {kPage});
    b.program().mutable_buffers()->rbegin()->set_alignment(kPageBytes);
    return view;
  }
  static Draft launch(std::vector<planpb::View> reads, std::vector<planpb::View> writes) {
    return {std::move(reads), std::move(writes), std::nullopt, {}, false};
  }
  static Draft collective(Collective::Kind kind, const planpb::AxisList &group, planpb::View input,
                          planpb::View output) {
    return {{std::move(input)}, {std::move(output)}, kind, group, true};
  }

  Drafts chain();
  Drafts reduce(const planpb::AxisList &group);
  Drafts updateInPlace(const planpb::AxisList &group);
  Drafts gatherShards(const planpb::AxisList &group);
  Drafts gatherInPlace(const planpb::AxisList &group);
  Drafts exchange(const planpb::AxisList &group);

  void pack();
  void emit(const Draft &draft, uint32_t stream);
  void order(size_t index);
  void joinStreams();
  bool conflict(const Draft &a, const Draft &b) const;

  std::mt19937 &random;
  RankPlanBuilder b;
  uint32_t streams;
  std::vector<planpb::AxisList> groups;
  std::vector<Drafts> patterns;
  std::vector<Draft> drafts; // interleaved
  std::vector<uint32_t> streamOf;
  std::vector<std::vector<int>> synced; // per stream, the last draft of each stream it waited for
  std::vector<int> recordAfter;         // per draft, its event; -1: none
};

/// fill t; use t for something that lasts.
Drafts Generator::chain() {
  planpb::View t = local(planpb::TRANSIENT), result = local(planpb::STEP);
  Drafts drafts = {launch({}, {t}), launch({t}, {result})};
  for (Draft &draft : drafts)
    draft.mayUseSideStream = true;
  if (chance(random, 0.3))
    drafts.push_back(launch({result, t}, {result}));
  return drafts;
}

Drafts Generator::reduce(const planpb::AxisList &group) {
  planpb::View t = window(planpb::TRANSIENT, 1);
  planpb::View sum = chance(random, 0.5) ? t : window(planpb::TRANSIENT, 1);
  return {launch({}, {t}), collective(Collective::ALL_REDUCE, group, t, sum),
          launch({sum}, {local(planpb::STEP)})};
}

/// ZeRO-1: the gradient is reduced into its own part, own parameters updated and gathered.
Drafts Generator::updateInPlace(const planpb::AxisList &group) {
  int64_t parts = b.sizeOf(group);
  planpb::View gradient = window(planpb::TRANSIENT, parts);
  planpb::View parameters = window(planpb::PERSISTENT, parts);
  planpb::View own = b.ownPart(gradient, group), mine = b.ownPart(parameters, group);
  return {launch({parameters}, {gradient}),
          collective(Collective::REDUCE_SCATTER, group, gradient, own), launch({own, mine}, {mine}),
          collective(Collective::ALL_GATHER, group, mine, parameters)};
}

/// ZeRO-3: shards are gathered into two buffers in turn, then used.
Drafts Generator::gatherShards(const planpb::AxisList &group) {
  Drafts drafts;
  std::vector<planpb::View> used;
  for (int layer = 0; layer < 2; ++layer) {
    planpb::View whole = window(planpb::TRANSIENT, b.sizeOf(group));
    drafts.push_back(
        collective(Collective::ALL_GATHER, group, window(planpb::PERSISTENT, 1), whole));
    used.push_back(whole);
  }
  planpb::View result = local(planpb::STEP);
  drafts.push_back(launch({used[0]}, {result}));
  drafts.push_back(launch({result, used[1]}, {result}));
  return drafts;
}

/// A shard is cast into its own part of the buffer that it is gathered in.
Drafts Generator::gatherInPlace(const planpb::AxisList &group) {
  planpb::View whole = window(planpb::TRANSIENT, b.sizeOf(group));
  planpb::View own = b.ownPart(whole, group);
  Drafts drafts = {launch({local(planpb::PERSISTENT)}, {own}),
                   collective(Collective::ALL_GATHER, group, own, whole),
                   launch({whole}, {local(planpb::STEP)})};
  if (chance(random, 0.3))
    drafts.insert(drafts.begin() + 1, launch({own}, {own}));
  return drafts;
}

Drafts Generator::exchange(const planpb::AxisList &group) {
  bool isPermute = chance(random, 0.5);
  int64_t pages = isPermute ? 1 : b.sizeOf(group);
  planpb::View from = window(planpb::TRANSIENT, pages), to = window(planpb::TRANSIENT, pages);
  return {launch({}, {from}),
          collective(isPermute ? Collective::PERMUTE : Collective::ALL_TO_ALL, group, from, to),
          launch({to}, {local(planpb::STEP)})};
}

void Generator::addPattern() {
  const planpb::AxisList &group = groups[below(random, groups.size())];
  switch (below(random, 6)) {
  case 0:
    return addChain();
  case 1:
    return patterns.push_back(reduce(group));
  case 2:
    return patterns.push_back(updateInPlace(group));
  case 3:
    return patterns.push_back(gatherShards(group));
  case 4:
    return patterns.push_back(gatherInPlace(group));
  default:
    return patterns.push_back(exchange(group));
  }
}

void Generator::addChain() { patterns.push_back(chain()); }

void Generator::interleave() {
  while (!patterns.empty()) {
    size_t pattern = below(random, patterns.size());
    drafts.push_back(patterns[pattern].front());
    patterns[pattern].pop_front();
    if (patterns[pattern].empty())
      patterns.erase(patterns.begin() + static_cast<std::ptrdiff_t>(pattern));
  }
  for (const Draft &draft : drafts)
    streamOf.push_back(
        streams > 1 &&
        (draft.collective ? chance(random, 0.8) : draft.mayUseSideStream && chance(random, 0.3)));
}

void Generator::insertChain() {
  size_t at = 0;
  for (const Draft &draft : chain()) {
    at += below(random, drafts.size() - at + 1);
    drafts.insert(drafts.begin() + static_cast<std::ptrdiff_t>(at), draft);
    streamOf.insert(streamOf.begin() + static_cast<std::ptrdiff_t>(at),
                    streams > 1 && chance(random, 0.3));
    ++at;
  }
}

/// Places buffers first-fit. Persistent ones are apart; others may share bytes if the last use of
/// one comes before the first of the other: every call writes them anew before it reads them.
void Generator::pack() {
  std::map<uint32_t, std::pair<size_t, size_t>> life;
  for (size_t i = 0; i < drafts.size(); ++i)
    for (const auto *views : {&drafts[i].reads, &drafts[i].writes})
      for (const planpb::View &view : *views)
        life.try_emplace(view.buffer(), i, i).first->second.second = i;
  std::vector<uint64_t> ends(2, 0);
  std::vector<int> placed;
  for (int i = 0; i < b.program().buffers_size(); ++i) {
    planpb::Buffer &buffer = *b.program().mutable_buffers(i);
    auto isFree = [&](uint64_t offset) {
      return std::none_of(placed.begin(), placed.end(), [&](int j) {
        const planpb::Buffer &other = b.program().buffers(j);
        bool isApart =
            offset >= other.offset() + other.bytes() || offset + buffer.bytes() <= other.offset();
        auto [first, last] = life.at(static_cast<uint32_t>(i));
        auto [otherFirst, otherLast] = life.at(static_cast<uint32_t>(j));
        bool mayShare = buffer.lifetime() != planpb::PERSISTENT &&
                        other.lifetime() != planpb::PERSISTENT &&
                        (last < otherFirst || otherLast < first);
        return other.arena() == buffer.arena() && !isApart && !mayShare;
      });
    };
    uint64_t offset = 0;
    while (!isFree(offset))
      offset += kPageBytes;
    buffer.set_offset(offset);
    ends[buffer.arena()] = std::max(ends[buffer.arena()], offset + buffer.bytes());
    placed.push_back(i);
  }
  for (int arena : {0, 1}) // with room for buffers that are moved
    b.program().mutable_arenas(arena)->set_bytes(ends[static_cast<size_t>(arena)] + 2 * kPageBytes);
}

/// Whether the order of two tasks matters: by the bytes that they reach on any rank, or as
/// collectives of one group.
bool Generator::conflict(const Draft &one, const Draft &other) const {
  if (one.collective && other.collective &&
      one.group.SerializeAsString() == other.group.SerializeAsString())
    return true;
  auto reachOf = [&](const planpb::View &view) {
    const planpb::Buffer &buffer = b.plan.programs(0).buffers(static_cast<int>(view.buffer()));
    uint64_t begin = buffer.offset() + view.offset();
    uint64_t end = begin + static_cast<uint64_t>(view.shape(0)) * 8;
    for (const planpb::AxisStride &stride : view.axis_strides()) {
      planpb::AxisList axis;
      *axis.add_axes() = stride.axis();
      end += (b.sizeOf(axis) - 1) * stride.bytes();
    }
    return std::tuple(buffer.arena(), begin, end);
  };
  auto meet = [&](const std::vector<planpb::View> &a, const std::vector<planpb::View> &b) {
    for (const planpb::View &x : a)
      for (const planpb::View &y : b) {
        auto [arena, begin, end] = reachOf(x);
        auto [otherArena, otherBegin, otherEnd] = reachOf(y);
        if (arena == otherArena && begin < otherEnd && otherBegin < end)
          return true;
      }
    return false;
  };
  return meet(one.writes, other.writes) || meet(one.writes, other.reads) ||
         meet(one.reads, other.writes);
}

/// Waits for the last draft of each other stream that must come before; now and then for more.
void Generator::order(size_t index) {
  uint32_t stream = streamOf[index];
  for (uint32_t other = 0; other < streams; ++other) {
    int needed = -1;
    for (size_t i = 0; i < index && other != stream; ++i)
      if (streamOf[i] == other && (conflict(drafts[i], drafts[index]) || chance(random, 0.05)))
        needed = static_cast<int>(i);
    if (needed < 0 || (synced[stream][other] >= needed && !chance(random, 0.2)))
      continue;
    // The record stands right behind the task, so it was issued already if a later draft needs it.
    b.wait(stream, static_cast<uint32_t>(recordAfter[static_cast<size_t>(needed)]));
    synced[stream][other] = std::max(synced[stream][other], needed);
  }
}

void Generator::emit(const Draft &draft, uint32_t stream) {
  if (draft.collective)
    b.collective(*draft.collective, draft.group, draft.reads[0], draft.writes[0], stream);
  else
    b.launch(draft.reads.empty() ? "fill" : "use", draft.reads, draft.writes, stream);
}

void Generator::joinStreams() {
  uint32_t events = b.program().events();
  for (uint32_t stream = 0; stream < streams && streams > 1; ++stream) {
    b.record(stream, events);
    b.wait(1 - stream, events++);
  }
  b.program().set_events(events);
}

/// The body is called `calls` times.
planpb::Plan Generator::finish(uint32_t calls) {
  pack();
  uint32_t body = b.segment("body");
  synced.assign(streams, std::vector<int>(streams, -1));
  for (size_t i = 0; i < drafts.size(); ++i) {
    order(i);
    emit(drafts[i], streamOf[i]);
    recordAfter.push_back(static_cast<int>(b.program().events()));
    if (streams > 1) {
      b.record(streamOf[i], b.program().events());
      b.program().set_events(b.program().events() + 1);
    }
  }
  joinStreams();
  // Records that nobody waits for would only blur what a mutant does.
  planpb::Segment &segment = *b.program().mutable_segments(0);
  std::vector<bool> isAwaited(b.program().events());
  for (const planpb::Task &task : segment.tasks())
    if (task.kind_case() == planpb::Task::kWait)
      isAwaited[task.wait()] = true;
  for (int i = segment.tasks_size(); i-- > 0;)
    if (segment.tasks(i).kind_case() == planpb::Task::kRecord &&
        !isAwaited[segment.tasks(i).record()])
      segment.mutable_tasks()->DeleteSubrange(i, 1);
  b.plan.mutable_training()->set_accumulation(calls);
  b.plan.mutable_training()->set_global_batch(b.plan.ranks() * calls);
  for (uint32_t call = 0; call < calls; ++call)
    b.call(body, call);
  return b.plan;
}

} // namespace

GeneratedPlan randomPlan(std::mt19937 &random) {
  static const std::vector<std::vector<std::pair<const char *, uint32_t>>> kMeshes = {
      {{"data", 2}}, {{"data", 2}}, {{"data", 3}}, {{"data", 2}, {"tensor", 2}}};
  size_t mesh = below(random, kMeshes.size());
  uint32_t streams = mesh < 2 ? 1 + chance(random, 0.8) : 1;
  uint32_t patterns = mesh < 2 && streams == 1 ? 2 : 1 + chance(random, 0.4);
  uint32_t calls = 1 + (mesh < 2 && chance(random, 0.3));
  Generator generator(random, kMeshes[mesh], streams);
  for (uint32_t i = 0; i < patterns; ++i)
    generator.addPattern();
  generator.interleave();
  GeneratedPlan result;
  if (!chance(random, 0.3)) {
    result.plan = generator.finish(calls);
    result.programOf.assign(result.plan.ranks(), 0);
    return result;
  }
  Generator other = generator;
  result.plan = generator.finish(calls);
  if (chance(random, 0.5))
    other.insertChain();
  *result.plan.add_programs() = other.finish(calls).programs(0);
  for (uint32_t rank = 0; rank < result.plan.ranks(); ++rank)
    result.programOf.push_back(rank < 2 ? rank : below(random, 2)); // both are run
  return result;
}

namespace {

/// What a mutation may change.
struct Target {
  std::mt19937 &random;
  planpb::Program &program;
  planpb::Segment &segment;

  int pick(const std::function<bool(const planpb::Task &)> &isWanted) const {
    std::vector<int> found;
    for (int i = 0; i < segment.tasks_size(); ++i)
      if (isWanted(segment.tasks(i)))
        found.push_back(i);
    return found.empty() ? -1 : found[below(random, found.size())];
  }
  int pickTask() const {
    return pick([](const planpb::Task &) { return true; });
  }
  int pickSync() const {
    return pick([](const planpb::Task &task) {
      return task.kind_case() == planpb::Task::kRecord || task.kind_case() == planpb::Task::kWait;
    });
  }
  int pickCollective() const {
    return pick([](const planpb::Task &task) { return task.has_collective(); });
  }
};

std::vector<planpb::View *> viewsOf(planpb::Segment &segment) {
  std::vector<planpb::View *> views;
  for (planpb::Task &task : *segment.mutable_tasks()) {
    if (task.has_collective()) {
      views.push_back(task.mutable_collective()->mutable_input());
      views.push_back(task.mutable_collective()->mutable_output());
    } else if (task.has_launch()) {
      for (planpb::View &view : *task.mutable_launch()->mutable_inputs())
        views.push_back(&view);
      for (planpb::View &view : *task.mutable_launch()->mutable_outputs())
        views.push_back(&view);
    }
  }
  return views;
}

std::string swapTasks(Target &t) {
  int i = t.pickTask(), j = t.pickTask();
  if (chance(t.random, 0.5))
    j = (i + 1) % t.segment.tasks_size();
  t.segment.mutable_tasks()->SwapElements(i, j);
  return fmt::format("swap tasks {} and {}", i, j);
}

std::string swapCollectives(Target &t) {
  int i = t.pickCollective(), j = t.pickCollective();
  if (i < 0 || i == j)
    return "";
  t.segment.mutable_tasks()->SwapElements(i, j);
  bool keepsSequence = chance(t.random, 0.7);
  Collective &a = *t.segment.mutable_tasks(i)->mutable_collective();
  Collective &b = *t.segment.mutable_tasks(j)->mutable_collective();
  if (keepsSequence) {
    uint32_t sequence = a.sequence();
    a.set_sequence(b.sequence());
    b.set_sequence(sequence);
  }
  return fmt::format("swap collectives {} and {}{}", i, j, keepsSequence ? "" : " and sequence");
}

std::string dropSync(Target &t) {
  int i = t.pickSync();
  if (i < 0)
    return "";
  t.segment.mutable_tasks()->DeleteSubrange(i, 1);
  return fmt::format("drop record or wait {}", i);
}

std::string moveSync(Target &t) {
  int i = t.pickSync();
  if (i < 0)
    return "";
  int to = std::clamp(i + static_cast<int>(below(t.random, 9)) - 4, 0, t.segment.tasks_size() - 1);
  for (int at = i; at != to; at += at < to ? 1 : -1)
    t.segment.mutable_tasks()->SwapElements(at, at < to ? at + 1 : at - 1);
  return fmt::format("move record or wait {} to {}", i, to);
}

std::string changeEvent(Target &t) {
  int i = t.pickSync();
  if (i < 0)
    return "";
  planpb::Task &task = *t.segment.mutable_tasks(i);
  uint32_t event = below(t.random, t.program.events());
  if (task.kind_case() == planpb::Task::kRecord)
    task.set_record(event);
  else
    task.set_wait(event);
  return fmt::format("event {} for task {}", event, i);
}

std::string moveTask(Target &t) {
  int i = t.pickTask();
  if (t.program.streams_size() == 1)
    return "";
  planpb::Task &task = *t.segment.mutable_tasks(i);
  task.set_stream(1 - task.stream());
  return fmt::format("stream {} for task {}", task.stream(), i);
}

std::string dropTask(Target &t) {
  int i = t.pickTask();
  t.segment.mutable_tasks()->DeleteSubrange(i, 1);
  return fmt::format("drop task {}", i);
}

std::string dropCollective(Target &t) {
  int i = t.pickCollective();
  if (i < 0)
    return "";
  t.segment.mutable_tasks()->DeleteSubrange(i, 1);
  return fmt::format("drop collective {}", i);
}

std::string moveBuffer(Target &t) {
  int i = static_cast<int>(below(t.random, static_cast<size_t>(t.program.buffers_size())));
  planpb::Buffer &buffer = *t.program.mutable_buffers(i);
  uint64_t room =
      (t.program.arenas(static_cast<int>(buffer.arena())).bytes() - buffer.bytes()) / kPageBytes;
  buffer.set_offset(below(t.random, room + 1) * kPageBytes);
  return fmt::format("move buffer {} to {}", buffer.name(), buffer.offset());
}

std::string moveView(Target &t) {
  std::vector<planpb::View *> views = viewsOf(t.segment);
  if (views.empty())
    return "";
  planpb::View &view = *views[below(t.random, views.size())];
  static const uint64_t kOffsets[] = {0, 8, kPageBytes, 2 * kPageBytes};
  view.set_offset(kOffsets[below(t.random, 4)]);
  return fmt::format("move a view of buffer {} to {}", view.buffer(), view.offset());
}

/// An own part becomes the first part on all ranks.
std::string changeParts(Target &t) {
  std::vector<planpb::View *> views = viewsOf(t.segment);
  std::erase_if(views, [](const planpb::View *view) { return view->axis_strides().empty(); });
  if (views.empty())
    return "";
  planpb::View &view = *views[below(t.random, views.size())];
  view.clear_axis_strides();
  return fmt::format("a view of buffer {} on all ranks alike", view.buffer());
}

std::string otherBuffer(Target &t) {
  std::vector<planpb::View *> views = viewsOf(t.segment);
  if (views.empty())
    return "";
  planpb::View &view = *views[below(t.random, views.size())];
  const planpb::View &other = *views[below(t.random, views.size())];
  if (view.shape(0) != other.shape(0) ||
      t.program.buffers(static_cast<int>(view.buffer())).arena() !=
          t.program.buffers(static_cast<int>(other.buffer())).arena())
    return "";
  view = other;
  return fmt::format("a view becomes one of buffer {}", other.buffer());
}

std::string changeCalls(Target &t) {
  if (t.program.schedule_size() < 2)
    return "";
  t.program.mutable_schedule()->RemoveLast();
  return "drop the last call";
}

} // namespace

std::string mutate(GeneratedPlan &generated, std::mt19937 &random) {
  planpb::Program &program = *generated.plan.mutable_programs(
      static_cast<int>(below(random, static_cast<size_t>(generated.plan.programs_size()))));
  Target target{random, program, *program.mutable_segments(0)};
  if (target.segment.tasks().empty())
    return "";
  using Mutation = std::string (*)(Target &);
  static const Mutation kMutations[] = {
      swapTasks, swapTasks,   swapCollectives, dropSync,       dropSync,   moveSync,   moveSync,
      moveSync,  changeEvent, moveTask,        moveTask,       dropTask,   moveBuffer, moveBuffer,
      moveView,  changeParts, otherBuffer,     dropCollective, changeCalls};
  return kMutations[below(random, std::size(kMutations))](target);
}

} // namespace deepshard::runtime::test
