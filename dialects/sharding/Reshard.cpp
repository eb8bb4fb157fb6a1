//===- Reshard.cpp - a change of layout as a sequence of collectives --------------------------===//
//
// Reshard.h explains the algorithm; the steps have the numbers given there.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/sharding/Reshard.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Atoms.h"

#include "mlir/IR/Builders.h"

#include <map>

using namespace mlir;

namespace deepshard::sharding {

int64_t Step::receivedElements(MeshAttr mesh) const {
  auto elements = [](ArrayRef<int64_t> shape) {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  };
  int64_t input = elements(inputShape), ranks = mesh.sizeOf(axes);
  switch (kind) {
  case StepKind::LocalSlice:
    return 0;
  case StepKind::ReduceScatter:
  case StepKind::AllToAll:
    return input - input / ranks;
  case StepKind::AllReduce:
    return 2 * (input - input / ranks);
  case StepKind::Permute:
    return input;
  case StepKind::AllGather:
    return elements(outputShape) - input;
  }
  llvm_unreachable("unknown kind of step");
}

namespace {

/// What there is to do, in atoms.
struct Problem {
  MeshAttr mesh;
  Atoms atoms;
  AtomLists from, to;
  AtomList reduced; // partial in `from` and not in `to`, in the order of the mesh
  PartialAttr partial;
  SmallVector<int64_t> shape;

  bool isWanted(unsigned atom) const {
    return llvm::any_of(to, [&](const AtomList &list) { return llvm::is_contained(list, atom); });
  }
};

/// What step 1 does beyond the necessary.
struct Variant {
  /// Appends to a list that will move what follows it in the target, so that both move together.
  bool follow = true;
  /// Cuts a dimension more finely than either end has it.
  bool cutFinely = false;
  /// Gathers what is not wanted as soon as it lies at a minor end.
  bool gatherEarly = false;
  /// Reduces over all axes in one all_reduce.
  bool reduceAtOnce = false;
};

bool isPrefix(ArrayRef<unsigned> prefix, ArrayRef<unsigned> list) {
  return prefix.size() <= list.size() && prefix == list.take_front(prefix.size());
}

/// One way to solve the problem.
class Solution {
public:
  Solution(const Problem &problem, const Variant &variant)
      : problem(&problem), variant(variant), current(problem.from), unreduced(problem.reduced) {
    limit = std::max(localElements(problem.from), localElements(problem.to));
    cut();
    if (variant.gatherEarly) {
      gatherUnwanted();
      cut();
    }
    moveAndGather();
    assert(current == problem.to && unreduced.empty() && "the steps miss the target");
  }

  Steps takeSteps() { return std::move(steps); }
  bool isSmall() const { return largest <= limit; }
  int64_t communications() const { return llvm::count_if(steps, std::mem_fn(&Step::communicates)); }
  bool operator<(const Solution &other) const {
    return std::pair(received, steps.size()) < std::pair(other.received, other.steps.size());
  }

private:
  // Step 1.
  AtomLists planCuts() const;
  void cut();
  bool reduceInto(AtomLists &cuts);
  void gatherUnwanted();
  // Steps 2 to 4.
  AtomLists targetWithUnwanted() const;
  void moveAndGather();

  // The steps themselves, on `current`.
  void slice(unsigned dim, ArrayRef<unsigned> list);
  void reduceScatter(unsigned dim, ArrayRef<unsigned> list);
  void allReduce(ArrayRef<unsigned> list);
  void permute(const AtomLists &after);
  void allToAll(unsigned from, unsigned to, size_t count);
  void allGather(unsigned dim, size_t count);

  int64_t localElements(const AtomLists &lists) const;
  SmallVector<int64_t> localShape() const;
  Step &begin(StepKind kind, ArrayRef<unsigned> list);
  void finish(Step &step);

  const Problem *problem;
  Variant variant;
  AtomLists current;
  AtomList unreduced;
  Steps steps;
  int64_t received = 0, largest = 0, limit = 0;
};

//===------------------------------------------------------------------------------------------===//
// Step 1: cut
//===------------------------------------------------------------------------------------------===//

/// What to append to each dimension.
AtomLists Solution::planCuts() const {
  const Atoms &atoms = problem->atoms;
  const AtomLists &to = problem->to;
  AtomLists cuts(to.size()), lists = current;
  llvm::SmallBitVector used(atoms.size());
  for (const AtomList &list : lists)
    for (unsigned atom : list)
      used.set(atom);
  auto take = [&](unsigned dim, unsigned atom) {
    cuts[dim].push_back(atom);
    lists[dim].push_back(atom);
    used.set(atom);
  };
  auto fits = [&](unsigned dim, unsigned atom) {
    return problem->shape[dim] % (atoms.sizeOf(lists[dim]) * atoms.sizeOf(atom)) == 0;
  };
  auto count = [&](const AtomList &list, unsigned atom) {
    return atoms.count(list, atoms.sizeOf(atom));
  };
  // In its final place.
  for (unsigned dim = 0; dim < to.size(); ++dim)
    while (lists[dim].size() < to[dim].size() && isPrefix(lists[dim], to[dim]) &&
           !used.test(to[dim][lists[dim].size()]))
      take(dim, to[dim][lists[dim].size()]);
  // Behind what it follows in the target, on a dimension that this is going to leave.
  for (unsigned dim = 0; variant.follow && dim < to.size(); ++dim) {
    if (lists[dim].empty())
      continue;
    for (unsigned target = 0; target < to.size(); ++target) {
      const unsigned *last = llvm::find(to[target], lists[dim].back());
      if (target == dim || last == to[target].end())
        continue;
      for (++last; last != to[target].end() && !used.test(*last) && fits(dim, *last); ++last)
        take(dim, *last);
    }
  }
  // On its own dimension, as far as one of the ends cuts that too.
  for (unsigned dim = 0; dim < to.size(); ++dim)
    for (unsigned atom : to[dim])
      if (!used.test(atom) && (count(lists[dim], atom) < std::max(count(problem->from[dim], atom),
                                                                  count(to[dim], atom)) ||
                               (variant.cutFinely && fits(dim, atom))))
        take(dim, atom);
  // On any dimension that will have to be cut more finely. So in the end each prime occurs at
  // least as often as in the target.
  for (const AtomList &list : to)
    for (unsigned atom : list)
      for (unsigned dim = 0; dim < to.size() && !used.test(atom); ++dim)
        if (count(lists[dim], atom) < count(to[dim], atom))
          take(dim, atom);
  return cuts;
}

/// Reduces over the innermost axes that are left: into the dimension that begins with them, or on
/// every rank. True if it did something.
bool Solution::reduceInto(AtomLists &cuts) {
  if (unreduced.empty())
    return false;
  if (variant.reduceAtOnce) {
    allReduce(unreduced);
    unreduced.clear();
    return true;
  }
  size_t longest = 0;
  unsigned into = 0;
  for (auto [dim, list] : llvm::enumerate(cuts))
    for (size_t n = std::min(list.size(), unreduced.size()); n > longest; --n)
      if (ArrayRef(list).take_front(n) == ArrayRef(unreduced).take_back(n)) {
        longest = n;
        into = dim;
      }
  if (longest > 0) {
    reduceScatter(into, ArrayRef(unreduced).take_back(longest));
    cuts[into].erase(cuts[into].begin(), cuts[into].begin() + longest);
    unreduced.truncate(unreduced.size() - longest);
    return true;
  }
  // As many as are wanted nowhere, or else one that then can be sliced.
  size_t n = 0;
  while (n < unreduced.size() && !problem->isWanted(unreduced[unreduced.size() - 1 - n]))
    ++n;
  n = std::max<size_t>(n, 1);
  allReduce(ArrayRef(unreduced).take_back(n));
  unreduced.truncate(unreduced.size() - n);
  return true;
}

void Solution::cut() {
  AtomLists cuts = planCuts();
  do {
    for (auto [dim, list] : llvm::enumerate(cuts)) {
      auto isFree = [&](unsigned atom) { return !llvm::is_contained(unreduced, atom); };
      const unsigned *end = llvm::find_if_not(list, isFree);
      slice(dim, ArrayRef(list.begin(), end));
      list.erase(list.begin(), end);
    }
  } while (reduceInto(cuts));
}

void Solution::gatherUnwanted() {
  for (unsigned dim = 0; dim < current.size(); ++dim) {
    auto wanted = [&](unsigned atom) { return problem->isWanted(atom); };
    auto unwanted = llvm::find_if(llvm::reverse(current[dim]), wanted);
    allGather(dim, std::distance(current[dim].rbegin(), unwanted));
  }
}

//===------------------------------------------------------------------------------------------===//
// Steps 2 to 4: permute, move, gather
//===------------------------------------------------------------------------------------------===//

/// The target with what has to be gathered in the end appended: as many parts in all as `current`.
/// Unwanted atoms stay on their dimension where that has more parts than the target's.
AtomLists Solution::targetWithUnwanted() const {
  const Atoms &atoms = problem->atoms;
  AtomLists lists = problem->to;
  AtomList pool;
  std::map<int64_t, int64_t> needed; // per prime
  for (unsigned dim = 0; dim < lists.size(); ++dim) {
    for (unsigned atom : current[dim])
      ++needed[atoms.sizeOf(atom)];
    for (unsigned atom : lists[dim])
      --needed[atoms.sizeOf(atom)];
  }
  auto place = [&](unsigned dim, unsigned atom) {
    int64_t prime = atoms.sizeOf(atom);
    if (needed[prime] == 0 || atoms.count(lists[dim], prime) >= atoms.count(current[dim], prime))
      return false;
    lists[dim].push_back(atom);
    --needed[prime];
    return true;
  };
  for (unsigned dim = 0; dim < lists.size(); ++dim)
    for (unsigned atom : current[dim])
      if (!problem->isWanted(atom) && !place(dim, atom))
        pool.push_back(atom);
  for (unsigned atom : pool)
    for (unsigned dim = 0; dim < lists.size(); ++dim)
      if (place(dim, atom))
        break;
  return lists;
}

/// A move seen backwards: the last `count` atoms of dimension `from` go to the end of `to`; or,
/// with `count` 0, the lists `after` were made of others.
struct BackwardMove {
  unsigned from = 0, to = 0;
  size_t count = 0;
  AtomLists after;
};

/// Moves suffixes until every dimension has the number of parts that `goal` has, which is the same
/// in all; of suffixes that may move, those that come to lie as in `goal`, then the longest.
class BackwardSearch {
public:
  BackwardSearch(const Atoms &atoms, AtomLists start, const AtomLists &goal)
      : lists(std::move(start)), atoms(atoms), goal(goal) {
    while (llvm::any_of(llvm::seq<unsigned>(0, lists.size()),
                        [&](unsigned dim) { return hasSurplus(dim); }))
      if (!moveOne())
        reorder();
  }

  AtomLists lists;
  SmallVector<BackwardMove> moves;

private:
  /// By how many atoms of size `prime` a dimension exceeds the goal.
  int64_t surplus(unsigned dim, int64_t prime) const {
    return atoms.count(lists[dim], prime) - atoms.count(goal[dim], prime);
  }
  bool hasSurplus(unsigned dim) const {
    return llvm::any_of(lists[dim],
                        [&](unsigned atom) { return surplus(dim, atoms.sizeOf(atom)) > 0; });
  }
  /// Number of atoms at the end of `from` that `to` lacks.
  size_t movable(unsigned from, unsigned to) const;
  bool liesAsInGoal(unsigned from, unsigned to, size_t count) const {
    size_t begin = lists[to].size();
    return isPrefix(lists[to], goal[to]) && goal[to].size() >= begin + count &&
           ArrayRef(goal[to]).slice(begin, count) == ArrayRef(lists[from]).take_back(count);
  }
  bool moveOne();
  /// Brings what has to leave its dimension to the end of it, by a permute.
  void reorder();

  const Atoms &atoms;
  const AtomLists &goal;
};

size_t BackwardSearch::movable(unsigned from, unsigned to) const {
  size_t count = 0;
  for (unsigned atom : llvm::reverse(lists[from])) {
    int64_t prime = atoms.sizeOf(atom);
    int64_t already = atoms.count(ArrayRef(lists[from]).take_back(count), prime);
    if (already >= surplus(from, prime) || already >= -surplus(to, prime))
      break;
    ++count;
  }
  return count;
}

bool BackwardSearch::moveOne() {
  BackwardMove best;
  bool bestLies = false;
  for (unsigned from = 0; from < lists.size(); ++from)
    for (unsigned to = 0; to < lists.size(); ++to)
      for (size_t count = from == to ? 0 : movable(from, to), most = count; count > 0; --count) {
        bool lies = liesAsInGoal(from, to, count);
        if (!lies && count < most)
          continue;
        if (std::pair(lies, count) > std::pair(bestLies, best.count)) {
          best = {from, to, count, {}};
          bestLies = lies;
        }
      }
  if (best.count == 0)
    return false;
  ArrayRef<unsigned> moved = ArrayRef(lists[best.from]).take_back(best.count);
  lists[best.to].append(moved.begin(), moved.end());
  lists[best.from].truncate(lists[best.from].size() - best.count);
  moves.push_back(std::move(best));
  return true;
}

void BackwardSearch::reorder() {
  moves.push_back({0, 0, 0, lists});
  for (unsigned dim = 0; dim < lists.size(); ++dim) {
    std::map<int64_t, int64_t> leaving;
    for (unsigned atom : lists[dim])
      leaving[atoms.sizeOf(atom)] = std::max<int64_t>(0, surplus(dim, atoms.sizeOf(atom)));
    AtomList staying, ending;
    for (unsigned atom : llvm::reverse(lists[dim]))
      (leaving[atoms.sizeOf(atom)]-- > 0 ? ending : staying).push_back(atom);
    lists[dim].assign(staying.rbegin(), staying.rend());
    lists[dim].append(ending.rbegin(), ending.rend());
  }
}

void Solution::moveAndGather() {
  BackwardSearch search(problem->atoms, targetWithUnwanted(), current);
  permute(search.lists);
  for (const BackwardMove &move : llvm::reverse(search.moves))
    if (move.count > 0)
      allToAll(move.to, move.from, move.count);
    else
      permute(move.after);
  for (unsigned dim = 0; dim < current.size(); ++dim)
    allGather(dim, current[dim].size() - problem->to[dim].size());
}

//===------------------------------------------------------------------------------------------===//
// The steps
//===------------------------------------------------------------------------------------------===//

int64_t Solution::localElements(const AtomLists &lists) const {
  int64_t elements = 1;
  for (auto [size, list] : llvm::zip_equal(problem->shape, lists))
    elements *= size / problem->atoms.sizeOf(list);
  return elements;
}

SmallVector<int64_t> Solution::localShape() const {
  SmallVector<int64_t> shape = problem->shape;
  for (auto [size, list] : llvm::zip_equal(shape, current)) {
    assert(size % problem->atoms.sizeOf(list) == 0 && "a step does not divide");
    size /= problem->atoms.sizeOf(list);
  }
  return shape;
}

Step &Solution::begin(StepKind kind, ArrayRef<unsigned> list) {
  Step &step = steps.emplace_back();
  step.kind = kind;
  step.axes = problem->atoms.axesOf(list);
  step.inputShape = localShape();
  if (kind == StepKind::ReduceScatter || kind == StepKind::AllReduce) {
    step.reduction = problem->partial.getKind();
    step.reducedIn = problem->partial.getType();
  }
  return step;
}

void Solution::finish(Step &step) {
  step.outputShape = localShape();
  received += step.receivedElements(problem->mesh);
  largest = std::max(largest, localElements(current));
}

void Solution::slice(unsigned dim, ArrayRef<unsigned> list) {
  if (list.empty())
    return;
  Step &step = begin(StepKind::LocalSlice, list);
  step.dim = dim;
  current[dim].append(list.begin(), list.end());
  finish(step);
}

void Solution::reduceScatter(unsigned dim, ArrayRef<unsigned> list) {
  Step &step = begin(StepKind::ReduceScatter, list);
  step.dim = dim;
  current[dim].append(list.begin(), list.end());
  finish(step);
}

void Solution::allReduce(ArrayRef<unsigned> list) { finish(begin(StepKind::AllReduce, list)); }

void Solution::permute(const AtomLists &after) {
  if (current == after)
    return;
  // Whose coordinates matter: what does not lie at equal places before and after.
  AtomList moved;
  for (auto [before, after] : llvm::zip_equal(current, after)) {
    size_t same = std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first -
                  before.begin();
    moved.append(before.begin() + same, before.end());
    moved.append(after.begin() + same, after.end());
  }
  llvm::sort(moved);
  moved.erase(llvm::unique(moved), moved.end());
  Step &step = begin(StepKind::Permute, moved);
  for (const AtomList &list : current)
    step.before.push_back(problem->atoms.axesOf(list));
  for (const AtomList &list : after)
    step.after.push_back(problem->atoms.axesOf(list));
  current = after;
  finish(step);
}

void Solution::allToAll(unsigned from, unsigned to, size_t count) {
  AtomList moved(ArrayRef(current[from]).take_back(count));
  Step &step = begin(StepKind::AllToAll, moved);
  step.dim = to;
  step.concat = from;
  current[from].truncate(current[from].size() - count);
  current[to].append(moved);
  finish(step);
}

void Solution::allGather(unsigned dim, size_t count) {
  if (count == 0)
    return;
  Step &step = begin(StepKind::AllGather, ArrayRef(current[dim]).take_back(count));
  step.dim = dim;
  current[dim].truncate(current[dim].size() - count);
  finish(step);
}

/// The best solution among the variants.
Steps solve(const Problem &problem) {
  Solution best(problem, {});
  if (best.communications() <= 1)
    return best.takeSteps();
  for (unsigned bits = 0; bits < (problem.reduced.empty() ? 8 : 16); ++bits) {
    Variant variant{(bits & 1) == 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    Solution solution(problem, variant);
    if (solution.isSmall() && solution < best)
      best = std::move(solution);
  }
  return best.takeSteps();
}

/// What is partial in `from` and no more in `to`.
PartialAttr reductionBetween(LayoutAttr from, LayoutAttr to, const Atoms &atoms,
                             AtomList &reduced) {
  reduced = atoms.listOf(from.getPartialAxes());
  for (unsigned atom : atoms.listOf(to.getPartialAxes())) {
    assert(llvm::is_contained(reduced, atom) && "a value cannot become partial by a reshard");
    llvm::erase(reduced, atom);
  }
  assert((!to.isPartial() || from.getPartial().getKind() == to.getPartial().getKind()) &&
         "a reshard cannot change how a partial value is reduced");
  return from.getPartial();
}

/// `layout` without the sub-axes of the axes that `drop` names.
LayoutAttr without(LayoutAttr layout, ArrayRef<StringAttr> drop) {
  for (unsigned dim = 0; dim < layout.getRank(); ++dim) {
    SmallVector<AxisRefAttr> axes(layout.getAxes(dim));
    llvm::erase_if(axes,
                   [&](AxisRefAttr axis) { return llvm::is_contained(drop, axis.getName()); });
    layout = layout.withAxes(dim, axes);
  }
  return layout;
}

} // namespace

Steps reshardSteps(LayoutAttr from, LayoutAttr to, MeshAttr mesh, ArrayRef<int64_t> shape) {
  assert(from.getMesh() == to.getMesh() && from.getRank() == to.getRank() && "unlike layouts");
  assert(!from.firstUnevenDim(mesh, shape) && !to.firstUnevenDim(mesh, shape) &&
         "the shape does not divide into equal parts");
  SmallVector<AxisRefAttr> axes = from.getSplitAxes();
  llvm::append_range(axes, from.getPartialAxes());
  llvm::append_range(axes, to.getSplitAxes());
  if (SmallVector<StringAttr> unlike = Atoms::withoutRefinement(mesh, axes); !unlike.empty()) {
    LayoutAttr between = without(to, unlike);
    Steps steps = reshardSteps(from, between, mesh, shape);
    llvm::append_range(steps, reshardSteps(between, to, mesh, shape));
    return steps;
  }
  Problem problem{mesh, Atoms(mesh, axes), {}, {}, {}, {}, SmallVector<int64_t>(shape)};
  for (AxisListAttr dim : from.getDims())
    problem.from.push_back(problem.atoms.listOf(dim.getAxes()));
  for (AxisListAttr dim : to.getDims())
    problem.to.push_back(problem.atoms.listOf(dim.getAxes()));
  problem.partial = reductionBetween(from, to, problem.atoms, problem.reduced);
  return solve(problem);
}

//===------------------------------------------------------------------------------------------===//
// Emission
//===------------------------------------------------------------------------------------------===//

SmallVector<int64_t> permuteSources(const Step &step, MeshAttr mesh) {
  SmallVector<int64_t> members = mesh.groupOf(step.axes, 0);
  auto pieceOf = [&](ArrayRef<SmallVector<AxisRefAttr>> dims, int64_t rank) {
    SmallVector<int64_t> piece;
    for (ArrayRef<AxisRefAttr> axes : dims)
      piece.push_back(mesh.partOf(axes, rank));
    return std::vector<int64_t>(piece.begin(), piece.end());
  };
  // Who has a piece and has not given it to anybody yet; a rank keeps its own if it can.
  std::map<std::vector<int64_t>, SmallVector<int64_t>> holders;
  SmallVector<int64_t> sources(members.size(), -1);
  for (auto [index, rank] : llvm::enumerate(members)) {
    std::vector<int64_t> piece = pieceOf(step.before, rank);
    if (piece == pieceOf(step.after, rank))
      sources[index] = static_cast<int64_t>(index);
    else
      holders[piece].push_back(static_cast<int64_t>(index));
  }
  for (auto [index, rank] : llvm::enumerate(members))
    if (sources[index] < 0)
      sources[index] = holders.at(pieceOf(step.after, rank)).pop_back_val();
  return sources;
}

Value emitStep(OpBuilder &builder, Location location, Value value, const Step &step,
               FlatSymbolRefAttr name, MeshAttr mesh) {
  GroupAttr group = GroupAttr::get(name, step.axes);
  switch (step.kind) {
  case StepKind::LocalSlice:
    return LocalSliceOp::create(builder, location, value, group, step.dim, mesh);
  case StepKind::ReduceScatter:
    return ReduceScatterOp::create(builder, location, step.reduction, value, group, step.dim, mesh);
  case StepKind::AllReduce:
    return AllReduceOp::create(builder, location, value.getType(), step.reduction, value, group);
  case StepKind::Permute:
    return PermuteOp::create(builder, location, value.getType(), value, group,
                             permuteSources(step, mesh));
  case StepKind::AllToAll:
    return AllToAllOp::create(builder, location, value, group, step.dim, step.concat, mesh);
  case StepKind::AllGather:
    return AllGatherOp::create(builder, location, value, group, step.dim, mesh);
  }
  llvm_unreachable("unknown kind of step");
}

static Value convert(OpBuilder &builder, Location location, Value value, Type elementType) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType() == elementType)
    return value;
  return graph::ConvertOp::create(builder, location,
                                  RankedTensorType::get(type.getShape(), elementType), value);
}

Value emitReshard(OpBuilder &builder, Location location, Value localValue, LayoutAttr from,
                  LayoutAttr to, MeshAttr mesh) {
  auto type = cast<RankedTensorType>(localValue.getType());
  Steps steps = reshardSteps(from, to, mesh, from.globalShape(mesh, type.getShape()));
  // From the first reduction to the last one the value has the type that is reduced in.
  const Step *lastReduction = nullptr;
  for (const Step &step : steps)
    if (step.reducedIn)
      lastReduction = &step;
  Value value = localValue;
  for (const Step &step : steps) {
    if (step.reducedIn)
      value = convert(builder, location, value, step.reducedIn);
    value = emitStep(builder, location, value, step, from.getMesh(), mesh);
    if (&step == lastReduction)
      value = convert(builder, location, value, type.getElementType());
  }
  return value;
}

} // namespace deepshard::sharding
