//===- main.cpp - ds-opt: plans the training of a model ---------------------------------------===//
//
// Two tools in one: `ds-opt MODEL ... -o OUT.dsplan` plans a model; `ds-opt FILE.mlir --pass...`
// runs passes on IR, as mlir-opt does. An input named *.mlir or "-" chooses the second.
//
//===------------------------------------------------------------------------------------------===//

#include "tools/ds-opt/Tool.h"

#include <string_view>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "-o" || argument == "--output") {
      ++i;
      continue;
    }
    if (argument == "-" || argument.ends_with(".mlir") || argument.ends_with(".mlirbc"))
      return deepshard::runPasses(argc, argv);
  }
  return deepshard::planModel(argc, argv);
}
