#include "frontends/config/Json.h"
#include "frontends/config/Nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace deepshard;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

struct Parsed {
  std::optional<json::Value> value;
  std::vector<std::string> faults;
};

Parsed parse(std::string_view text) {
  std::vector<Diagnostic> diagnostics;
  Parsed parsed;
  parsed.value = json::parse(text, "f", diagnostics);
  for (const Diagnostic &diagnostic : diagnostics)
    parsed.faults.push_back(diagnostic.str());
  return parsed;
}

std::string reprint(std::string_view text) {
  Parsed parsed = parse(text);
  EXPECT_THAT(parsed.faults, IsEmpty()) << text;
  return parsed.value ? json::print(*parsed.value) : "";
}

TEST(Json, values) {
  EXPECT_EQ(reprint("{}"), "{}");
  EXPECT_EQ(reprint(R"({"a": [1, -2.5, 3e2, true, false, null, "x"], "b": {"c": {}}})"),
            R"({"a": [1, -2.5, 300, true, false, null, "x"], "b": {"c": {}}})");
  EXPECT_EQ(reprint("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(reprint(R"("tab\t quote\" slash\\ \u00e9 \ud83d\ude00")"),
            "\"tab\\u0009 quote\\\" slash\\\\ é 😀\"");
}

TEST(Json, commentsAndTrailingCommas) {
  EXPECT_EQ(
      reprint(
          "\xEF\xBB\xBF# first\n{ // one\n /* two\n lines */ \"a\": [1, 2,], # three\n}\n// end"),
      R"({"a": [1, 2]})");
}

TEST(Json, commentSignsInsideStrings) {
  EXPECT_EQ(reprint(R"({"a": "# // /* not a comment"})"), R"({"a": "# // /* not a comment"})");
}

TEST(Json, linesOfKeysAndValues) {
  Parsed parsed = parse("{\n  # comment\n  \"a\":\n    {\"b\": [\n 1,\n 2]}\n}");
  ASSERT_TRUE(parsed.value);
  EXPECT_EQ(parsed.value->members[0].line, 3);
  const json::Value *a = parsed.value->find("a");
  EXPECT_EQ(a->line, 4);
  EXPECT_EQ(a->find("b")->items[1].line, 6);
}

TEST(Json, duplicateKeysAtEveryDepth) {
  EXPECT_THAT(
      parse("{\"a\": 1,\n\"b\": {\"c\": [{\"d\": 1,\n\"d\": 2}],\n\"c\": 1},\n\"a\": 2}").faults,
      ElementsAre("f:3: b.c[0].d: the key is given twice, first on line 2; keep one",
                  "f:4: b.c: the key is given twice, first on line 2; keep one",
                  "f:5: a: the key is given twice, first on line 1; keep one"));
}

TEST(Json, missingCommasAreReportedAndReadingGoesOn) {
  Parsed parsed = parse("{\"a\": 1\n\"b\": [1 2]\n\"c\": 3}");
  EXPECT_THAT(parsed.faults, ElementsAre("f:2: a: expected a comma before '\"'",
                                         "f:2: b: expected a comma before '2'",
                                         "f:3: b: expected a comma before '\"'"));
  ASSERT_TRUE(parsed.value);
  EXPECT_EQ(json::print(*parsed.value), R"({"a": 1, "b": [1, 2], "c": 3})");
}

TEST(Json, faultsOfSyntax) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "f:1: the file holds no value"},
      {" \n# only a comment\n", "f:3: the file holds no value"},
      {"{", "f:1: expected '}' to close what line 1 opens, found the end of the file"},
      {"{\"a\": [1,\n2",
       "f:2: a: expected ']' to close what line 1 opens, found the end of the file"},
      {"{\"a\": 1,\n", "f:2: expected '}' to close what line 1 opens, found the end of the file"},
      {"{\"a\" 1}", "f:1: a: expected ':' after the key \"a\", found '1'"},
      {"{a: 1}", "f:1: expected a key in double quotes, found 'a'"},
      {"{\"a\": 1; }", "f:1: a: expected a comma or '}', found ';'"},
      {"{\"a\": }", "f:1: a: expected a value, found '}'"},
      {"{\"a\": adam}", "f:1: a: expected a value, found 'adam'; strings need double quotes"},
      {"{\"a\": 'x'}", "f:1: a: expected a value, found '''; strings need double quotes"},
      {"{\"a\": True}", "f:1: a: 'True' is Python; JSON writes true"},
      {"{\"a\": None}", "f:1: a: 'None' is Python; JSON writes null"},
      {"{\"a\": 01}", "f:1: a: '01' is not a number"},
      {"{\"a\": 1.}", "f:1: a: '1.' is not a number"},
      {"{\"a\": 1e}", "f:1: a: '1e' is not a number"},
      {"{\"a\": -}", "f:1: a: '-' is not a number"},
      {"{\"a\": 8x}", "f:1: a: '8x' is not a number"},
      {"{\"a\": 1e999}", "f:1: a: the number 1e999 is out of the range of a double"},
      {"{\"a\": \"x\n\"}", "f:1: a: the string is not closed on its line"},
      {"{\"a\": \"\\q\"}", "f:1: a: unknown escape \\q in a string"},
      {"{\"a\": \"\\u12g4\"}", "f:1: a: expected four hexadecimal digits after \\u"},
      {"{\"a\": \"\\ud83d\"}", "f:1: a: the \\u escape is half of a surrogate pair"},
      {"{\n/* open", "f:2: the comment that starts here with /* is never closed"},
      {"{} {}", "f:1: expected the end of the file after the value, found '{'"},
      {"{\"a\": \x01}", "f:1: a: expected a value, found the byte 0x01"},
  };
  for (const auto &[text, message] : cases) {
    Parsed parsed = parse(text);
    EXPECT_THAT(parsed.faults, ElementsAre(message)) << text;
    EXPECT_FALSE(parsed.value) << text;
  }
}

TEST(Json, deepNestingIsRefused) {
  std::string text(1000000, '[');
  EXPECT_THAT(parse(text).faults, testing::SizeIs(1));
  EXPECT_FALSE(parse(text).value);
}

TEST(Json, everyPrefixOfAFileIsAFaultAndNoCrash) {
  const std::string text =
      "{\"a\": [1, -2.5e3, true, \"x\\u00e9\"], // c\n\"b\": {\"c\": null}, /* d */ }";
  ASSERT_TRUE(parse(text).value);
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_THAT(parse(std::string_view(text).substr(0, length)).faults, testing::Not(IsEmpty()))
        << length;
}

TEST(Json, wholeNumbers) {
  EXPECT_TRUE(parse("5e8").value->isWhole());
  EXPECT_EQ(parse("5e8").value->whole(), 500000000);
  EXPECT_FALSE(parse("1.5").value->isWhole());
  EXPECT_FALSE(parse("1e30").value->isWhole());
  EXPECT_FALSE(parse("\"8\"").value->isWhole());
}

TEST(Nearest, editDistance) {
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("abcd", "abdc"), 1u);
  EXPECT_EQ(editDistance("same", "same"), 0u);
}

TEST(Nearest, farWordsHaveNone) {
  EXPECT_EQ(nearest("stge", {"page", "stage"}), "stage");
  EXPECT_EQ(nearest("completely", {"page", "stage"}), "");
  EXPECT_EQ(nearest("foo", {"aio"}), ""); // two of three letters differ
}

} // namespace
