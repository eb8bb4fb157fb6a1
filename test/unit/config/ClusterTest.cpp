#include "frontends/config/Cluster.h"

#include <cstdio>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

using namespace deepshard;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr double kGiB = 1073741824;

constexpr const char *kDevice = R"("device": {"memory_gib": 80, "memory_gb_per_s": 3350,
"matmul": {"bf16": {"peak_tflops": 989}}})";
constexpr const char *kTiers =
    R"("tiers": [{"name": "nvlink", "size": 8, "latency_us": 3, "gb_per_s": 450}])";

constexpr const char *kWhole = R"({
  // one number, one unit
  "device": {"name": "H100-SXM", "gpu": "sm_90", "memory_gib": 80, "reserve_gib": 3, "memory_gb_per_s": 3350, "launch_us": 4,
             "matmul": {"bf16": {"peak_tflops": 989, "efficiency": 0.7}, "f32": {"peak_tflops": 67}}},
  "tiers": [{"name": "nvlink", "size": 8, "latency_us": 3, "gb_per_s": 450},
            {"name": "ib", "size": 2048, "latency_us": 8, "gb_per_s": 50}],
  "host": {"memory_gib": 2000, "to_device_gb_per_s": 55}, "disk": {"read_gb_per_s": 12, "write_gb_per_s": 6}
})";

ClusterResult read(const std::string &text) { return parseClusterText(text, "c.json"); }

/// The errors, as the user sees them.
std::vector<std::string> errors(const ClusterResult &result) {
  std::vector<std::string> out;
  for (const Diagnostic &diagnostic : result.errors)
    out.push_back(diagnostic.str());
  EXPECT_EQ(result.cluster.has_value(), out.empty());
  return out;
}

/// The errors of a file that is complete but for the members of its device.
std::vector<std::string> deviceErrors(const std::string &members) {
  return errors(read("{" + std::string(kTiers) + ",\n\"device\": {" + members + "}}"));
}

/// The same for the items of its tiers.
std::vector<std::string> tierErrors(const std::string &items) {
  return errors(read("{" + std::string(kDevice) + ",\n\"tiers\": [" + items + "]}"));
}

/// The same for further members.
std::vector<std::string> rootErrors(const std::string &members) {
  return errors(read("{" + std::string(kDevice) + ", " + kTiers + ",\n" + members + "}"));
}

TEST(Cluster, aWholeFile) {
  ClusterResult result = read(kWhole);
  ASSERT_THAT(errors(result), IsEmpty());
  const Cluster &cluster = *result.cluster;
  EXPECT_EQ(cluster.device.name, "H100-SXM");
  EXPECT_EQ(cluster.device.gpu, "sm_90");
  EXPECT_EQ(cluster.device.memoryBytes, 80 * kGiB);
  EXPECT_EQ(cluster.device.reserveBytes, 3 * kGiB);
  EXPECT_EQ(cluster.device.usableBytes(), 77 * kGiB);
  EXPECT_DOUBLE_EQ(cluster.device.memoryBytesPerSecond, 3350e9);
  EXPECT_DOUBLE_EQ(cluster.device.launchSeconds, 4e-6);
  ASSERT_EQ(cluster.device.matmul.size(), 2u);
  EXPECT_DOUBLE_EQ(cluster.device.matmul.at("bf16").peakFlopsPerSecond, 989e12);
  EXPECT_DOUBLE_EQ(cluster.device.matmul.at("bf16").flopsPerSecond(), 0.7 * 989e12);
  EXPECT_DOUBLE_EQ(cluster.device.matmul.at("f32").flopsPerSecond(), 67e12);
  ASSERT_EQ(cluster.tiers.size(), 2u);
  EXPECT_EQ(cluster.tiers[0].name, "nvlink");
  EXPECT_EQ(cluster.tiers[0].size, 8);
  EXPECT_DOUBLE_EQ(cluster.tiers[0].latencySeconds, 3e-6);
  EXPECT_DOUBLE_EQ(cluster.tiers[0].bytesPerSecond, 450e9);
  EXPECT_EQ(cluster.tiers[1].name, "ib");
  EXPECT_EQ(cluster.ranks(), 2048);
  ASSERT_TRUE(cluster.host);
  EXPECT_EQ(cluster.host->memoryBytes, 2000 * kGiB);
  EXPECT_DOUBLE_EQ(cluster.host->toDeviceBytesPerSecond, 55e9);
  ASSERT_TRUE(cluster.disk);
  EXPECT_DOUBLE_EQ(cluster.disk->readBytesPerSecond, 12e9);
  EXPECT_DOUBLE_EQ(cluster.disk->writeBytesPerSecond, 6e9);
}

TEST(Cluster, defaults) {
  ClusterResult result = read("{" + std::string(kDevice) + ", " + kTiers + "}");
  ASSERT_THAT(errors(result), IsEmpty());
  const Device &device = result.cluster->device;
  EXPECT_EQ(device.name, "device");
  EXPECT_EQ(device.gpu, "");
  EXPECT_EQ(device.reserveBytes, 0);
  EXPECT_EQ(device.launchSeconds, 0);
  EXPECT_EQ(device.matmul.at("bf16").efficiency, 1);
  EXPECT_FALSE(result.cluster->host);
  EXPECT_FALSE(result.cluster->disk);
  EXPECT_EQ(result.cluster->ranks(), 8);
}

TEST(Cluster, zeroWhereItIsADefault) {
  EXPECT_THAT(deviceErrors(R"("memory_gib": 1, "reserve_gib": 0, "memory_gb_per_s": 1,
                              "launch_us": 0, "matmul": {"f8": {"peak_tflops": 1}})"),
              IsEmpty());
}

TEST(Cluster, missingKeys) {
  EXPECT_THAT(errors(read("\n{}")),
              ElementsAre("c.json:2: device: missing; add the description of a device",
                          "c.json:2: tiers: missing; add at least one tier of links, innermost "
                          "first"));
  EXPECT_THAT(
      deviceErrors(""),
      ElementsAre("c.json:2: device.memory_gib: missing; add the memory of a device in GiB",
                  "c.json:2: device.memory_gb_per_s: missing; add the bandwidth of the device's "
                  "memory in GB/s",
                  "c.json:2: device.matmul: missing; add at least one dtype, as \"bf16\": "
                  "{\"peak_tflops\": 989}"));
  EXPECT_THAT(deviceErrors("\"memory_gib\": 1, \"memory_gb_per_s\": 1,\n\"matmul\":\n{\"f8\": {}}"),
              ElementsAre("c.json:4: device.matmul.f8.peak_tflops: missing; add the peak for dense "
                          "matrices in TFLOP/s"));
  EXPECT_THAT(
      tierErrors("\n{}"),
      ElementsAre("c.json:4: tiers[0].name: missing; add what the links are called",
                  "c.json:4: tiers[0].size: missing; add the ranks that share these links, inner "
                  "tiers included",
                  "c.json:4: tiers[0].latency_us: missing; add the time of an empty message, us",
                  "c.json:4: tiers[0].gb_per_s: missing; add the bandwidth of a rank in one "
                  "direction, GB/s"));
  EXPECT_THAT(
      rootErrors("\"host\": {},\n\"disk\": {}"),
      ElementsAre("c.json:3: host.memory_gib: missing; add the memory of a host in GiB",
                  "c.json:3: host.to_device_gb_per_s: missing; add the bandwidth to one device in "
                  "GB/s",
                  "c.json:4: disk.read_gb_per_s: missing; add what a host reads in GB/s",
                  "c.json:4: disk.write_gb_per_s: missing; add what a host writes in GB/s"));
}

TEST(Cluster, unknownGpus) {
  EXPECT_THAT(deviceErrors("\n\"gpu\": \"sm_70\", \"memory_gib\": 1, \"memory_gb_per_s\": 1, "
                           "\"matmul\": {\"f8\": {\"peak_tflops\": 1}}"),
              ElementsAre("c.json:3: device.gpu: \"sm_70\" is not a kind of GPU that there is code "
                          "generation for: sm_80, sm_90, sm_90a, sm_100, sm_100a"));
}

TEST(Cluster, emptyLists) {
  EXPECT_THAT(tierErrors(""), ElementsAre("c.json:3: tiers: empty; add at least one tier of links, "
                                          "innermost first"));
  EXPECT_THAT(deviceErrors("\"memory_gib\": 1, \"memory_gb_per_s\": 1,\n\"matmul\": {}"),
              ElementsAre("c.json:3: device.matmul: empty; add at least one dtype, as \"bf16\": "
                          "{\"peak_tflops\": 989}"));
}

TEST(Cluster, unknownKeys) {
  EXPECT_THAT(
      rootErrors("\"hosts\": {},\n\"cooling\": 1,\n\"disk\": {\"read_gb_per_s\": 1, "
                 "\"write_gb_per_s\": 1, \"write_gb_per_sec\": 2},\n\"host\": {\"memory_gib\": 1, "
                 "\"to_device_gb_per_s\": 1, \"cores\": 2}"),
      ElementsAre(
          "c.json:3: hosts: unknown key; did you mean \"host\"?",
          "c.json:4: cooling: unknown key; known here are device, tiers, host, disk",
          "c.json:5: disk.write_gb_per_sec: unknown key; did you mean \"disk.write_gb_per_s\"?",
          "c.json:6: host.cores: unknown key; known here are memory_gib, "
          "to_device_gb_per_s"));
  EXPECT_THAT(
      deviceErrors("\"memory_gib\": 1, \"memory_gb_per_s\": 1,\n\"memory_gb\": 1,\n\"matmul\": {\n"
                   "\"fp16\": {\"peak_tflops\": 1},\n\"float32\": {\"peak_tflops\": 1},\n"
                   "\"bf16\": {\"peak_tflops\": 1, \"peak_flops\": 1, \"curve\": 1}}"),
      ElementsAre(
          "c.json:3: device.memory_gb: unknown key; did you mean \"device.memory_gib\"?",
          "c.json:5: device.matmul.fp16: unknown dtype; did you mean \"device.matmul.f16\"?",
          "c.json:6: device.matmul.float32: unknown dtype; known here are f64, f32, tf32, bf16, "
          "f16, f8",
          "c.json:7: device.matmul.bf16.peak_flops: unknown key; did you mean "
          "\"device.matmul.bf16.peak_tflops\"?",
          "c.json:7: device.matmul.bf16.curve: unknown key; known here are peak_tflops, "
          "efficiency"));
  EXPECT_THAT(tierErrors("{\"name\": \"a\", \"size\": 1, \"latency_us\": 1, \"gb_per_s\": 1,\n"
                         "\"latency_ns\": 1}"),
              ElementsAre("c.json:4: tiers[0].latency_ns: unknown key; did you mean "
                          "\"tiers[0].latency_us\"?"));
}

TEST(Cluster, wrongTypes) {
  EXPECT_THAT(errors(read("[]")), ElementsAre("c.json:1: expected an object, found an array"));
  EXPECT_THAT(errors(read(R"({"device": "H100",
"tiers": {"name": "nvlink"},
"host": null,
"disk": [1]})")),
              ElementsAre("c.json:1: device: expected an object (the description of a "
                          "device), found the string \"H100\"",
                          "c.json:2: tiers: expected an array (at least one tier of links, "
                          "innermost first), found an object",
                          "c.json:3: host: expected an object (the memory beside the devices), "
                          "found null",
                          "c.json:4: disk: expected an object (the disks of a host), found an "
                          "array"));
  EXPECT_THAT(
      deviceErrors("\"name\": 100,\n\"memory_gib\": \"80\",\n\"memory_gb_per_s\": null,\n"
                   "\"launch_us\": [4],\n\"reserve_gib\": true,\n\"matmul\": {\"f8\": 1979}"),
      ElementsAre("c.json:2: device.name: expected a string that is not empty (what the device is "
                  "called), found the number 100",
                  "c.json:3: device.memory_gib: expected a number above 0 (the memory of a device "
                  "in GiB), found the string \"80\"",
                  "c.json:4: device.memory_gb_per_s: expected a number above 0 (the bandwidth of "
                  "the device's memory in GB/s), found null",
                  "c.json:5: device.launch_us: expected a number of at least 0 (the time to launch "
                  "a kernel in us), found an array",
                  "c.json:6: device.reserve_gib: expected a number of at least 0 (the part of the "
                  "memory that no plan may use, in GiB), found true",
                  "c.json:7: device.matmul.f8: expected an object (how fast the device multiplies "
                  "matrices of this dtype), found the number 1979"));
  EXPECT_THAT(deviceErrors("\"memory_gib\": 1, \"memory_gb_per_s\": 1, \"matmul\": 989"),
              ElementsAre(HasSubstr("device.matmul: expected an object (at least one dtype")));
  EXPECT_THAT(tierErrors(R"("nvlink",
{"name": "", "size": 8.5, "latency_us": "3", "gb_per_s": {}})"),
              ElementsAre("c.json:3: tiers[0]: expected an object, found the string \"nvlink\"",
                          HasSubstr("c.json:4: tiers[1].name: expected a string that is not empty"),
                          HasSubstr("tiers[1].size: expected an integer between 1 and 1073741824"),
                          HasSubstr("tiers[1].latency_us: expected a number above 0"),
                          HasSubstr("tiers[1].gb_per_s: expected a number above 0")));
}

TEST(Cluster, numbersOutOfRange) {
  EXPECT_THAT(
      deviceErrors("\"memory_gib\": 0,\n\"memory_gb_per_s\": -3350,\n\"launch_us\": -1,\n"
                   "\"reserve_gib\": -3,\n\"matmul\": {\"f8\": {\"peak_tflops\": 0}}"),
      ElementsAre(
          EndsWith("found the number 0"), EndsWith("found the number -3350"),
          EndsWith("found the number -1"), EndsWith("found the number -3"),
          "c.json:6: device.matmul.f8.peak_tflops: expected a number above 0 (the peak for dense "
          "matrices in TFLOP/s), found the number 0"));
  for (const char *size : {"0", "-8", "1073741825", "1e30"})
    EXPECT_THAT(tierErrors("{\"name\": \"a\", \"latency_us\": 1, \"gb_per_s\": 1, \"size\": " +
                           std::string(size) + "}"),
                ElementsAre(HasSubstr("tiers[0].size: expected an integer between 1 and ")))
        << size;
  EXPECT_THAT(tierErrors("{\"name\": \"a\", \"size\": 8, \"latency_us\": 0, \"gb_per_s\": 0}"),
              ElementsAre(HasSubstr("tiers[0].latency_us: expected a number above 0"),
                          HasSubstr("tiers[0].gb_per_s: expected a number above 0")));
  EXPECT_THAT(rootErrors("\"host\": {\"memory_gib\": 0, \"to_device_gb_per_s\": 0},\n"
                         "\"disk\": {\"read_gb_per_s\": 0, \"write_gb_per_s\": 0}"),
              ElementsAre(HasSubstr("c.json:3: host.memory_gib: expected a number above 0"),
                          HasSubstr("c.json:3: host.to_device_gb_per_s: expected a number above 0"),
                          HasSubstr("c.json:4: disk.read_gb_per_s: expected a number above 0"),
                          HasSubstr("c.json:4: disk.write_gb_per_s: expected a number above 0")));
  // Bytes where the key asks for GiB.
  EXPECT_THAT(rootErrors("\"host\": {\"memory_gib\": 2147483648000, \"to_device_gb_per_s\": 1e-9}"),
              ElementsAre("c.json:3: host.memory_gib: 2147483648000 is not between 1e-06 and "
                          "1000000000; check the unit, which the key names",
                          "c.json:3: host.to_device_gb_per_s: 1e-09 is not between 1e-06 and "
                          "1000000000; check the unit, which the key names"));
}

TEST(Cluster, efficiency) {
  auto faults = [](const std::string &value) {
    return deviceErrors("\"memory_gib\": 1, \"memory_gb_per_s\": 1, \"matmul\": {\"bf16\": "
                        "{\"peak_tflops\": 989, \"efficiency\": " +
                        value + "}}");
  };
  EXPECT_THAT(faults("1"), IsEmpty());
  EXPECT_THAT(faults("0.01"), IsEmpty());
  for (const char *value : {"0", "-0.5", "1.01", "70"})
    EXPECT_THAT(faults(value),
                ElementsAre("c.json:2: device.matmul.bf16.efficiency: expected a number above 0 "
                            "and at most 1 (the share of the peak that large matmuls reach), found "
                            "the number " +
                            std::string(value)));
  EXPECT_THAT(faults("\"h100-bf16.json\""),
              ElementsAre("c.json:2: device.matmul.bf16.efficiency: a file with a curve (found "
                          "\"h100-bf16.json\") is not supported yet; give the share of the peak "
                          "that large matmuls reach, a number above 0 and at most 1"));
}

TEST(Cluster, reserveLeavesSomething) {
  auto faults = [](const std::string &memory, const std::string &reserve) {
    return deviceErrors("\"memory_gib\": " + memory + ",\n\"reserve_gib\": " + reserve +
                        ", \"memory_gb_per_s\": 1, \"matmul\": {\"f8\": {\"peak_tflops\": 1}}");
  };
  EXPECT_THAT(faults("80", "79.9"), IsEmpty());
  EXPECT_THAT(faults("80", "80"),
              ElementsAre("c.json:3: device.reserve_gib: 80 GiB leave nothing of the 80 GiB of "
                          "memory_gib; reserve less"));
  EXPECT_THAT(faults("80", "81.5"), ElementsAre(HasSubstr("81.5 GiB leave nothing of the 80")));
  // A memory that is wrong itself is compared with nothing.
  EXPECT_THAT(faults("-1", "80"), ElementsAre(HasSubstr("device.memory_gib: expected")));
}

TEST(Cluster, sizesInOrder) {
  auto tier = [](const char *name, int size) {
    return "{\"name\": \"" + std::string(name) + "\", \"size\": " + std::to_string(size) +
           ", \"latency_us\": 1, \"gb_per_s\": 1}";
  };
  EXPECT_THAT(tierErrors(tier("a", 1) + "," + tier("b", 3) + "," + tier("c", 6)), IsEmpty());
  EXPECT_THAT(tierErrors(tier("a", 8) + ",\n" + tier("b", 12) + ",\n" + tier("c", 8) + ",\n" +
                         tier("d", 4) + ",\n" + tier("e", 16)),
              ElementsAre("c.json:4: tiers[1].size: 12 ranks are not a multiple of the 8 of the "
                          "tier before; 8 or 16 would be",
                          "c.json:5: tiers[2].size: 8 ranks are not more than the 8 of the tier "
                          "before; a size counts the inner tiers too, innermost first",
                          "c.json:6: tiers[3].size: 4 ranks are not more than the 8 of the tier "
                          "before; a size counts the inner tiers too, innermost first"));
}

TEST(Cluster, namesOfTiersDiffer) {
  EXPECT_THAT(tierErrors(R"({"name": "ib", "size": 8, "latency_us": 3, "gb_per_s": 450},
{"size": 16, "latency_us": 8, "gb_per_s": 50,
"name": "ib"})"),
              ElementsAre("c.json:5: tiers[1].name: the tier of line 3 is called \"ib\" too; give "
                          "each its own name"));
}

TEST(Cluster, faultsOfOneFileTogether) {
  EXPECT_THAT(
      errors(read(R"({
  "device": {"memory_gib": 80, "reserve_gib": 90,
    "launch_us": -4
    "matmul": {"bf16": {"peak_tflops": "989",
      "efficiency": "curve.json"}, "bf32": {}}
  },
  "tiers": [
    {"name": "nvlink", "size": 8, "latency_us": 3, "gb_per_s": 450},
    {"name": "nvlink", "size": 12, "latency": 8, "gb_per_s": 50}
  ],
  "disk": {"read_gb_per_s": 12},
  "tiers": []
})")),
      ElementsAre(HasSubstr("c.json:2: device.reserve_gib: 90 GiB leave nothing"),
                  HasSubstr("c.json:2: device.memory_gb_per_s: missing"),
                  HasSubstr("c.json:3: device.launch_us: expected a number of at least 0"),
                  HasSubstr("c.json:4: device.launch_us: expected a comma"),
                  HasSubstr("c.json:4: device.matmul.bf16.peak_tflops: expected a number"),
                  HasSubstr("c.json:5: device.matmul.bf16.efficiency: a file with a curve"),
                  HasSubstr("c.json:5: device.matmul.bf32: unknown dtype; did you mean"),
                  HasSubstr("c.json:9: tiers[1].latency_us: missing"),
                  HasSubstr("c.json:9: tiers[1].latency: unknown key; known here are name, size"),
                  HasSubstr("c.json:9: tiers[1].name: the tier of line 8"),
                  HasSubstr("c.json:9: tiers[1].size: 12 ranks are not a multiple"),
                  HasSubstr("c.json:11: disk.write_gb_per_s: missing"),
                  HasSubstr("c.json:12: tiers: the key is given twice")));
}

TEST(Cluster, syntax) {
  EXPECT_THAT(errors(read("")), ElementsAre("c.json:1: the file holds no value"));
  EXPECT_THAT(errors(read("{\"device\": {\n")), ElementsAre(HasSubstr("c.json:2: device: ")));
}

TEST(Cluster, unreadableFiles) {
  EXPECT_THAT(errors(parseClusterFile("/nonexistent/c.json")),
              ElementsAre("/nonexistent/c.json: cannot be read: No such file or directory"));
  EXPECT_THAT(errors(parseClusterFile("/")), ElementsAre(HasSubstr("/: cannot be read: ")));
}

TEST(Cluster, examples) {
  auto example = [](const std::string &name) {
    ClusterResult result =
        parseClusterFile(DEEPSHARD_SOURCE_DIR "/examples/clusters/" + name + ".json");
    EXPECT_THAT(errors(result), IsEmpty());
    return result.cluster;
  };
  const std::optional<Cluster> one = example("h200x1"), eight = example("h100x8"),
                               many = example("h100x64");
  ASSERT_TRUE(one && eight && many);
  EXPECT_EQ(one->ranks(), 1);
  EXPECT_EQ(eight->ranks(), 8);
  EXPECT_EQ(many->ranks(), 64);
  EXPECT_GT(one->device.memoryBytes, eight->device.memoryBytes);
  EXPECT_EQ(many->device.matmul.size(), 6u);
  EXPECT_GT(many->tiers[0].bytesPerSecond, many->tiers[1].bytesPerSecond);
}

TEST(Cluster, exampleOfTheDocumentation) {
  std::ifstream stream(DEEPSHARD_SOURCE_DIR "/docs/cluster.md");
  std::ostringstream text;
  text << stream.rdbuf();
  const std::string document = text.str(), fence = "```json\n";
  const size_t start = document.find(fence) + fence.size();
  ClusterResult result = read(document.substr(start, document.find("```", start) - start));
  ASSERT_THAT(errors(result), IsEmpty());
  EXPECT_EQ(result.cluster->ranks(), 2048);
}

/// What the header promises of every cluster that is returned.
void expectSound(const Cluster &cluster, const std::string &text) {
  const Device &device = cluster.device;
  EXPECT_GT(device.usableBytes(), 0) << text;
  EXPECT_GT(device.memoryBytesPerSecond, 0) << text;
  EXPECT_GE(device.launchSeconds, 0) << text;
  EXPECT_FALSE(device.matmul.empty()) << text;
  for (const auto &[dtype, matmul] : device.matmul)
    EXPECT_GT(matmul.flopsPerSecond(), 0) << text;
  ASSERT_FALSE(cluster.tiers.empty()) << text;
  int64_t inner = 1;
  for (const Tier &tier : cluster.tiers) {
    EXPECT_EQ(tier.size % inner, 0) << text;
    EXPECT_GT(tier.bytesPerSecond, 0) << text;
    EXPECT_GT(tier.latencySeconds, 0) << text;
    inner = tier.size;
  }
  EXPECT_EQ(cluster.ranks(), inner) << text;
}

TEST(Cluster, mutationsNeitherCrashNorSlipThrough) {
  const std::string good = kWhole;
  std::mt19937 random(20);
  auto below = [&](size_t bound) { return random() % bound; };
  size_t accepted = 0;
  constexpr int kMutants = 20000;
  for (int i = 0; i < kMutants; ++i) {
    std::string text = good;
    for (size_t changes = 1 + below(3); changes > 0; --changes) {
      const size_t at = below(text.size()), length = 1 + below(20);
      switch (below(5)) {
      case 0: // any byte
        text[at] = static_cast<char>(below(256));
        break;
      case 1: // a character that means something
        text[at] = "0123456789-.eE\"{}[]:,/*#\\ntf"[below(28)];
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3: // a piece from elsewhere
        text.insert(at, good.substr(below(good.size()), length));
        break;
      case 4:
        text.resize(at + 1);
        break;
      }
      if (text.empty())
        text = "{";
    }
    ClusterResult result = read(text);
    ASSERT_EQ(result.cluster.has_value(), result.errors.empty()) << text;
    if (result.cluster) {
      ++accepted;
      expectSound(*result.cluster, text);
    }
  }
  // Comments, digits and spaces may change.
  EXPECT_GT(accepted, kMutants / 100);
  EXPECT_LT(accepted, kMutants / 2);
}

} // namespace
