/// Typed access to the values of a configuration tree. Wrong types are the schema's business
/// (Schema.h): a value that is absent, null, "auto" or of a wrong type reads as nothing.
#pragma once

#include "frontends/config/Config.h"
#include "frontends/config/Json.h"

#include <initializer_list>

namespace deepshard {

class Reader {
public:
  /// `file` names the configuration in messages about keys that are absent.
  Reader(const json::Value &root, const std::string &file, ConfigResult &result)
      : root_(root), file_(file), result_(result) {}

  /// The value at the dotted path unless it is absent, null or "auto".
  const json::Value *find(std::string_view path) const;
  std::optional<int64_t> whole(std::string_view path) const;
  std::optional<double> number(std::string_view path) const;
  std::optional<bool> boolean(std::string_view path) const;
  std::optional<std::string> text(std::string_view path) const;

  /// Adds an error about the key at `path`, or about its absence.
  void error(std::string_view path, std::string message);
  void note(std::string_view path, std::string message);

  /// The number at `path`, else `fallback`. A value outside [low, high] is an error and the
  /// fallback is returned.
  double numberWithin(std::string_view path, double fallback, double low, double high);
  /// As numberWithin, for integers.
  int64_t wholeWithin(std::string_view path, int64_t fallback, int64_t low, int64_t high);

  /// The string at `path`, else the first of `choices`. One that is none of them is an error.
  std::string oneOf(std::string_view path, std::initializer_list<std::string_view> choices);

  ConfigResult &result() { return result_; }

private:
  Diagnostic at(std::string_view path, std::string message) const;
  const json::Member *findMember(std::string_view path) const;

  const json::Value &root_;
  const std::string &file_;
  ConfigResult &result_;
};

/// Stage, bucket size and the other settings of ZeRO; to be called after the mesh is known.
void readZero(Reader &reader, TrainingConfig &config);
/// What the backward computes again; to be called after the mesh is known.
void readRecompute(Reader &reader, TrainingConfig &config);
/// In which types the model is computed and its parameters are held.
void readPrecision(Reader &reader, TrainingConfig &config);
/// The layouts of parameters that the user asks for; to be called after the mesh is known.
void readPins(Reader &reader, TrainingConfig &config);
/// Batch sizes from what the file gives, as DeepSpeed derives and checks them; to be called after
/// the mesh is known.
void readBatch(Reader &reader, const ConfigOptions &options, TrainingConfig &config);
/// The optimizer section with the parameters of its type.
void readOptimizer(Reader &reader, const ConfigOptions &options, TrainingConfig &config);
/// The scheduler section with the parameters of its type; to be called after readOptimizer.
void readScheduler(Reader &reader, TrainingConfig &config);

} // namespace deepshard
