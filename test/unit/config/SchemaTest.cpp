#include "frontends/config/Schema.h"
#include "ConfigTesting.h"

#include <fmt/format.h>
#include <fstream>
#include <set>
#include <sstream>

using namespace deepshard;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

/// `{"a": {"b": VALUE}}` for the path a.b.
std::string nest(std::string_view path, const std::string &value) {
  size_t dot = path.find('.');
  if (dot == std::string_view::npos)
    return fmt::format("{{\"{}\": {}}}", path, value);
  return fmt::format("{{\"{}\": {}}}", path.substr(0, dot), nest(path.substr(dot + 1), value));
}

struct Faults {
  std::vector<std::string> errors, notes;
};

constexpr int kHighestStage = 3; // at which every key of ZeRO acts

Faults check(std::string_view path, const std::string &value, int zeroStage) {
  std::vector<Diagnostic> errors, notes;
  // A path of parameters of an optimizer or scheduler begins with @Type.
  std::string_view prefix;
  if (path[0] == '@') {
    prefix = path.substr(0, path.find('.'));
    path.remove_prefix(prefix.size() + 1);
  }
  std::optional<json::Value> tree = json::parse(nest(path, value), "c.json", errors);
  checkAgainstSchema(*tree, {std::string(prefix), "", zeroStage}, errors, notes);
  Faults faults;
  for (const Diagnostic &error : errors)
    faults.errors.push_back(error.str());
  for (const Diagnostic &note : notes)
    faults.notes.push_back(note.str());
  return faults;
}

/// Whether giving the key gives an object that is refused whatever is in it.
bool isInRefusedSection(const SchemaKey &row) {
  for (const SchemaKey &section : schema())
    if (section.status == KeyStatus::NotYet && section.types.starts_with("object") &&
        row.path.starts_with(fmt::format("{}.", section.path)))
      return true;
  return false;
}

/// A value of the row's first type that is not neutral in any row.
std::string otherValue(const SchemaKey &row) {
  std::string_view type = row.types.substr(0, row.types.find('|'));
  if (type == "bool")
    return row.defaultValue == "true" ? "false" : "true";
  return type == "int"      ? "77"
         : type == "number" ? "0.77"
         : type == "string" ? "\"other\""
         : type == "array"  ? "[77]"
                            : "{\"other\": 77}";
}

TEST(Schema, pathsAreUniqueAndSectionsComeFirst) {
  std::set<std::string_view> seen;
  for (const SchemaKey &row : schema()) {
    EXPECT_TRUE(seen.insert(row.path).second) << row.path;
    size_t dot = row.path.rfind('.');
    if (dot != std::string_view::npos && row.path[0] != '@') {
      EXPECT_TRUE(seen.count(row.path.substr(0, dot))) << row.path;
    }
  }
}

TEST(Schema, everyDefaultIsAcceptedInSilence) {
  for (const SchemaKey &row : schema()) {
    const int stage = isInRefusedSection(row) ? 0 : kHighestStage;
    for (std::string value : {std::string(row.defaultValue), std::string("\"auto\"")}) {
      if (value.empty())
        continue;
      Faults faults = check(row.path, value, stage);
      EXPECT_THAT(faults.errors, IsEmpty()) << row.path;
      EXPECT_THAT(faults.notes, IsEmpty()) << row.path;
    }
  }
}

TEST(Schema, everyKeyThatDoesNothingYetIsRefusedUnlessNeutral) {
  for (const SchemaKey &row : schema()) {
    if (isInRefusedSection(row))
      continue;
    std::vector<std::string> errors = check(row.path, otherValue(row), kHighestStage).errors;
    if (row.status == KeyStatus::NotYet) {
      EXPECT_THAT(errors, testing::Contains(HasSubstr("known, not supported yet"))) << row.path;
    } else if (!row.types.starts_with("object")) {
      EXPECT_THAT(errors, IsEmpty()) << row.path;
    }
  }
}

TEST(Schema, everyKeyWithoutEffectIsNoted) {
  for (const SchemaKey &row : schema()) {
    if (row.types.starts_with("object"))
      continue;
    const bool without = row.status == KeyStatus::Ignored || row.status == KeyStatus::Tuning;
    EXPECT_EQ(check(row.path, otherValue(row), kHighestStage).notes.size(), without ? 1 : 0)
        << row.path;
  }
}

TEST(Schema, belowTheirStageKeysOfZeroAreAcceptedInSilence) {
  int rows = 0;
  for (const SchemaKey &row : schema()) {
    if (row.fromStage == 0)
      continue;
    ++rows;
    EXPECT_TRUE(row.path.starts_with("zero_optimization.")) << row.path;
    if (row.types.starts_with("object"))
      continue;
    Faults below = check(row.path, otherValue(row), row.fromStage - 1);
    EXPECT_THAT(below.errors, IsEmpty()) << row.path;
    EXPECT_THAT(below.notes, IsEmpty()) << row.path;
    Faults from = check(row.path, otherValue(row), row.fromStage);
    EXPECT_EQ(from.errors.size() + from.notes.size(), 1) << row.path;
  }
  EXPECT_GT(rows, 30);
}

TEST(Schema, everyWrongTypeIsNamed) {
  for (const SchemaKey &row : schema()) {
    std::string wrong = row.types.find("array") == std::string_view::npos ? "[]" : "{}";
    EXPECT_THAT(check(row.path, wrong, 0).errors, testing::ElementsAre(HasSubstr("expected ")))
        << row.path;
  }
}

TEST(Schema, supportedKeysAreDocumented) {
  std::ifstream stream(DEEPSHARD_SOURCE_DIR "/docs/config.md");
  ASSERT_TRUE(stream);
  std::ostringstream text;
  text << stream.rdbuf();
  for (const SchemaKey &row : schema()) {
    if (row.status != KeyStatus::Supported || row.types.starts_with("object"))
      continue;
    std::string_view name = row.path[0] == '@' ? row.path.substr(row.path.find('.') + 1) : row.path;
    EXPECT_THAT(text.str(), HasSubstr(fmt::format("`{}`", name)));
  }
}

} // namespace
