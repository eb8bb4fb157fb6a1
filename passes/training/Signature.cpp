//===- Signature.cpp - arguments and results of a function, changed in one go -----------------===//

#include "passes/training/Signature.h"

using namespace mlir;

namespace deepshard {

Signature::Signature(func::FuncOp function) : function(function) {
  for (unsigned index = 0; index < function.getNumArguments(); ++index)
    arguments.emplace_back(function.getArgAttrDict(index));
  for (unsigned index = 0; index < function.getNumResults(); ++index)
    results.emplace_back(function.getResultAttrDict(index));
}

BlockArgument Signature::addArgument(Type type, DictionaryAttr attributes, Location location) {
  arguments.emplace_back(attributes);
  return function.getBody().front().addArgument(type, location);
}

void Signature::addResult(Value value, DictionaryAttr attributes) {
  results.emplace_back(attributes);
  added.push_back(value);
}

void Signature::commit() {
  MLIRContext *context = function.getContext();
  Block &body = function.getBody().front();
  Operation *terminator = body.getTerminator();
  terminator->insertOperands(terminator->getNumOperands(), added);
  added.clear();
  function.setFunctionType(
      FunctionType::get(context, body.getArgumentTypes(), terminator->getOperandTypes()));
  auto dictionaries = [&](MutableArrayRef<NamedAttrList> lists) {
    return llvm::map_to_vector(lists,
                               [&](NamedAttrList &list) { return list.getDictionary(context); });
  };
  function.setAllArgAttrs(dictionaries(arguments));
  function.setAllResultAttrs(dictionaries(results));
}

} // namespace deepshard
