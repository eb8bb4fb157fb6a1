//===- Collectives.cpp - checks what groups of ranks do together ------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/Types.h"

#include <algorithm>
#include <set>
#include <vector>

namespace deepshard::runtime {

namespace {

using planpb::Collective;

/// The checks of one collective task.
class CollectiveCheck {
public:
  CollectiveCheck(const Mesh &mesh, const planpb::Program &program, const Collective &collective,
                  const std::string &what, Faults &faults)
      : mesh(mesh), program(program), collective(collective), what(what), faults(faults) {}

  void run() {
    if (!Collective::Kind_IsValid(collective.kind()) ||
        !Collective::Reduction_IsValid(collective.reduction())) {
      faults.add("{}: of a kind that this ds-run does not know", what);
      return;
    }
    if (auto fault = mesh.faultOf(collective.group())) {
      faults.add("{}: its group: {}", what, *fault);
      return;
    }
    members = static_cast<int64_t>(mesh.parts(collective.group()));
    if (!isDense(collective.input(), "input") || !isDense(collective.output(), "output"))
      return;
    checkWritten(program, collective.output(), what + ": output", faults);
    checkShapes();
    checkReduction();
    checkSources();
    checkWindow();
  }

private:
  bool isDense(const planpb::View &view, const char *name);
  void checkShapes();
  void checkReduction();
  void checkSources();
  void checkWindow();
  bool isInWindow(const planpb::View &view) const {
    const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
    return program.arenas(static_cast<int>(buffer.arena())).window();
  }
  const Mesh &mesh;
  const planpb::Program &program;
  const Collective &collective;
  const std::string &what;
  Faults &faults;
  int64_t members = 1;
};

bool CollectiveCheck::isDense(const planpb::View &view, const char *name) {
  if (!checkView(mesh, program, view, fmt::format("{}: {}", what, name), faults))
    return false;
  if (isRowMajor(view) && elementCount(view.shape()) != 0u)
    return true;
  faults.add("{}: {}: the view is empty or not row-major without gaps", what, name);
  return false;
}

/// The output's shape follows from the input's: cut along `split`, joined along `concat`.
void CollectiveCheck::checkShapes() {
  const planpb::View &input = collective.input();
  std::vector<int64_t> expected(input.shape().begin(), input.shape().end());
  bool isCut = collective.kind() == Collective::REDUCE_SCATTER ||
               collective.kind() == Collective::ALL_TO_ALL;
  bool isJoined =
      collective.kind() == Collective::ALL_GATHER || collective.kind() == Collective::ALL_TO_ALL;
  for (auto [isUsed, dimension, name] : {std::tuple(isCut, collective.split(), "split"),
                                         std::tuple(isJoined, collective.concat(), "concat")})
    if (isUsed && dimension >= expected.size()) {
      faults.add("{}: {}: dimension {} of {} does not exist", what, name, dimension,
                 expected.size());
      return;
    }
  if (isCut && expected[collective.split()] % members != 0) {
    faults.add("{}: dimension {} of size {} does not split over {} = {}", what, collective.split(),
               expected[collective.split()], mesh.text(collective.group()), members);
    return;
  }
  if (isCut)
    expected[collective.split()] /= members;
  // Bounded by the output's shape: a product that overflows is not equal to it.
  if (isJoined && __builtin_mul_overflow(expected[collective.concat()], members,
                                         &expected[collective.concat()]))
    expected.clear();
  const planpb::View &output = collective.output();
  if (output.dtype() != input.dtype() ||
      !std::equal(expected.begin(), expected.end(), output.shape().begin(), output.shape().end()))
    faults.add("{}: the output is not of the input's type and of shape ({})", what,
               fmt::join(expected, ", "));
}

void CollectiveCheck::checkReduction() {
  bool isReduced = collective.kind() == Collective::ALL_REDUCE ||
                   collective.kind() == Collective::REDUCE_SCATTER;
  if (isReduced &&
      (collective.input().dtype() == planpb::I8 || collective.input().dtype() == planpb::I1 ||
       collective.input().dtype() == planpb::U8 || collective.input().dtype() == planpb::U16))
    faults.add("{}: numbers of this type are not reduced", what);
}

void CollectiveCheck::checkSources() {
  std::set<uint32_t> sources(collective.sources().begin(), collective.sources().end());
  bool isPermutation = collective.sources_size() == members &&
                       static_cast<int64_t>(sources.size()) == members &&
                       *sources.rbegin() == members - 1;
  if (collective.kind() == Collective::PERMUTE ? !isPermutation : collective.sources_size() != 0)
    faults.add("{}: its sources are not a permutation of the {} ranks of {}", what, members,
               mesh.text(collective.group()));
}

void CollectiveCheck::checkWindow() {
  bool isReduce = collective.kind() == Collective::ALL_REDUCE;
  if (!isInWindow(collective.input()))
    faults.add("{}: its input does not lie in a window arena", what);
  if (isReduce && !isInWindow(collective.output()))
    faults.add("{}: its output does not lie in a window arena", what);
}

} // namespace

void checkCollective(const Mesh &mesh, const planpb::Program &program, const Collective &collective,
                     const std::string &what, Faults &faults) {
  CollectiveCheck(mesh, program, collective, what, faults).run();
}

} // namespace deepshard::runtime
