//===- PlanGenerator.h - random small plans of several ranks, and their mutants
//------------------===//

#ifndef DEEPSHARD_TEST_UNIT_RUNTIME_PLANGENERATOR_H
#define DEEPSHARD_TEST_UNIT_RUNTIME_PLANGENERATOR_H

#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace deepshard::runtime::test {

struct GeneratedPlan {
  planpb::Plan plan;
  std::vector<uint32_t> programOf; // per rank
};

/// A sound plan for 2 to 4 ranks, made as a compiler would: patterns (a chain through transient
/// buffers, all-reduce, ZeRO's reduce-scatter, update and gather in place, gathers of shards into
/// two buffers in turn, exchanges) are interleaved, put on one or two streams, packed into the
/// arenas by liveness, and ordered by records and waits where two streams use the same bytes.
/// Sometimes two programs that differ in what ranks do for themselves.
GeneratedPlan randomPlan(std::mt19937 &random);

/// One change: tasks swapped, dropped or moved to another stream; records and waits dropped, moved
/// or given another event; buffers or views moved; own parts made the first part; collectives or
/// calls swapped. Returns what was done; empty if the plan has nothing of the kind that was drawn.
std::string mutate(GeneratedPlan &generated, std::mt19937 &random);

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_RUNTIME_PLANGENERATOR_H
