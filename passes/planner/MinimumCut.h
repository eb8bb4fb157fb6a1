//===- MinimumCut.h - the cheapest way to separate two nodes of a graph -----------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_MINIMUMCUT_H
#define DEEPSHARD_PASSES_PLANNER_MINIMUMCUT_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace deepshard {

/// What an edge costs that is cut, or what can flow through it.
using Capacity = int64_t;

/// The capacity of what must not be cut. Sums with it stay at it.
inline constexpr Capacity kUncut = INT64_MAX / 4;

inline Capacity addCapacities(Capacity a, Capacity b) {
  const Capacity sum = a + b; // neither is above kUncut
  return sum < kUncut ? sum : kUncut;
}

/// A directed graph whose edges have capacities, built once and cut once. Edges of capacity
/// kUncut are never cut if that can be avoided.
class FlowNetwork {
public:
  static constexpr size_t kSource = 0, kSink = 1;

  /// A node besides source and sink.
  size_t addNode();
  /// The edge counts as cut if `from` is on the source's side and `to` on the sink's. Nothing if
  /// the capacity is 0.
  void addEdge(size_t from, size_t to, Capacity capacity);

  struct Cut {
    Capacity cost;              // the sum of the edges that are cut
    std::vector<bool> isSource; // by node: on the side of the source
  };
  /// A cut of least cost; of several the one with the fewest nodes on the side of the source.
  /// Dinic's algorithm: O(nodes^2 edges) in the worst case, near linear on graphs whose paths are
  /// short.
  Cut minimize();

private:
  struct Edge {
    size_t to;
    Capacity room; // what more can flow
  };

  bool findLevels();
  Capacity push(size_t node, Capacity most);

  std::vector<Edge> edges; // 2 i and 2 i + 1 are the two directions of one
  std::vector<std::vector<size_t>> edgesOf = std::vector<std::vector<size_t>>(2);
  std::vector<size_t> levels, next;
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLANNER_MINIMUMCUT_H
