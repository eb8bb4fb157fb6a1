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

std::vector<std::string> check(std::string_view path, const std::string &value) {
  std::vector<Diagnostic> errors, notes;
  // A path of parameters of an optimizer or scheduler begins with @Type.
  std::string_view prefix;
  if (path[0] == '@') {
    prefix = path.substr(0, path.find('.'));
    path.remove_prefix(prefix.size() + 1);
  }
  std::optional<json::Value> tree = json::parse(nest(path, value), "c.json", errors);
  checkAgainstSchema(*tree, prefix, "", errors, notes);
  std::vector<std::string> out;
  for (const Diagnostic &error : errors)
    out.push_back(error.str());
  return out;
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

TEST(Schema, everyDefaultIsAccepted) {
  for (const SchemaKey &row : schema()) {
    if (!row.defaultValue.empty()) {
      EXPECT_THAT(check(row.path, std::string(row.defaultValue)), IsEmpty()) << row.path;
    }
    EXPECT_THAT(check(row.path, "\"auto\""), IsEmpty()) << row.path;
  }
}

TEST(Schema, everyKeyThatDoesNothingYetIsRefusedUnlessNeutral) {
  for (const SchemaKey &row : schema()) {
    std::vector<std::string> errors = check(row.path, otherValue(row));
    if (row.status == KeyStatus::NotYet) {
      EXPECT_THAT(errors, testing::ElementsAre(HasSubstr("known, not supported yet"))) << row.path;
    } else if (!row.types.starts_with("object")) {
      EXPECT_THAT(errors, IsEmpty()) << row.path;
    }
  }
}

TEST(Schema, everyWrongTypeIsNamed) {
  for (const SchemaKey &row : schema()) {
    std::string wrong = row.types.find("array") == std::string_view::npos ? "[]" : "{}";
    EXPECT_THAT(check(row.path, wrong), testing::ElementsAre(HasSubstr("expected "))) << row.path;
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
