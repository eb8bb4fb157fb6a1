//===- Code.cpp - checks that generated kernels have their code -------------------------------===//
//
// The code is looked at, not loaded: a plan can be checked on a machine that cannot run it.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/generated/Generated.h"
#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/SharedObject.h"

namespace deepshard::runtime {

void checkCode(const planpb::Plan &plan, Faults &faults) {
  if (plan.backend() == planpb::CUDA)
    return checkDeviceCode(plan, faults);
  SharedObject object;
  if (!plan.code().empty()) {
    object = readSharedObject(plan.code());
    if (!object.fault.empty()) {
      faults.add("the plan's code is not a shared object for x86-64: {}", object.fault);
      return;
    }
    if (object.needsLibraries)
      faults.add("the plan's code asks for other libraries");
  }
  for (const planpb::Program &program : plan.programs())
    for (const planpb::Segment &segment : program.segments())
      for (int i = 0; i < segment.tasks_size(); ++i) {
        const planpb::Launch &launch = segment.tasks(i).launch();
        if (launch.provider() != "generated")
          continue;
        auto extents = launch.attributes().find("extents");
        int loops =
            extents == launch.attributes().end() ? 0 : extents->second.integers().values_size();
        if (loops == 0)
          faults.add("{}: a generated kernel needs the extents of its loops",
                     describeTask(segment, i));
        for (int loop = 0; loop < loops; ++loop)
          if (std::string symbol = loopSymbol(launch.kernel(), static_cast<size_t>(loop));
              !object.functions.contains(symbol))
            faults.add("{}: the plan's code has no function {}", describeTask(segment, i), symbol);
      }
}

} // namespace deepshard::runtime
