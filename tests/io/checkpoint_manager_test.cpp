#include "tarn/io/checkpoint_manager.h"

#include <fcntl.h>
#include <sys/file.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tarn/io/data/data.h"
#include "tarn/nn/nn.h"
#include "tarn/tests/io/scratch.h"
#include "tarn/tests/support/catch.h"
#include "tarn/tests/support/run_self.h"
#include "tarn/tests/support/sanitizers.h"

using namespace tarn;

namespace {

std::vector<int64_t> steps_of(const CheckpointManager& manager) {
  std::vector<int64_t> steps;
  for (const auto& entry : manager.entries()) steps.push_back(entry.step);
  return steps;
}

}  // namespace

TEST_CASE("a manager keeps the last and the best checkpoints") {
  const testing::Scratch scratch;
  nn::Linear layer(1, 1);
  Checkpoint checkpoint;
  checkpoint.add("model", layer);
  CheckpointManager manager(scratch / "run", {.keep_last = 2, .keep_best = 2});
  CHECK_FALSE(manager.latest());
  CHECK_FALSE(manager.best());
  CHECK_FALSE(manager.resume(checkpoint));
  const double losses[] = {5, 1, NAN, 2, 1, 7, 8};
  for (const double loss : losses) {
    ++checkpoint.step;
    layer->bias.data().fill_(static_cast<double>(checkpoint.step));
    manager.save(checkpoint, loss);
  }
  CHECK(steps_of(manager) == std::vector<int64_t>{2, 5, 6, 7});
  CHECK(manager.latest()->step == 7);
  CHECK(manager.latest()->metric == 8.0);
  CHECK(manager.best()->step == 5);

  CheckpointManager again(scratch / "run",
                          {.keep_last = 1, .keep_best = 1, .higher_is_better = true});
  checkpoint.step = 0;
  layer->bias.data().zero_();
  CHECK(again.resume(checkpoint));
  CHECK(checkpoint.step == 7);
  CHECK(layer->bias.item<float>() == 7);
  CHECK(again.best()->step == 7);
  checkpoint.step = 8;
  again.save(checkpoint);
  CHECK(steps_of(again) == std::vector<int64_t>{7, 8});
  CHECK_FALSE(again.latest()->metric);
}

TEST_CASE("a manager leaves files of other names alone, and keeps all if told so") {
  const testing::Scratch scratch;
  for (const char* name : {"notes.txt", "step-1.pt", "step-00000000a.pt", "step-0000000001.pt"})
    scratch.put(name, "mine");
  Checkpoint checkpoint;
  CheckpointManager manager(scratch / "", {.keep_last = 0});
  for (checkpoint.step = 1; checkpoint.step <= 5; ++checkpoint.step) manager.save(checkpoint);
  CHECK(steps_of(manager) == std::vector<int64_t>{1, 2, 3, 4, 5});
  CHECK(scratch.files().size() == 9);
  CHECK(std::filesystem::path(manager.latest()->path).filename() == "step-000000005.pt");
}

TEST_CASE("a manager says what is wrong") {
  const testing::Scratch scratch;
  scratch.put("file", "");
  CHECK_THROWS_AS(CheckpointManager(scratch / "file"), IOError);
  CHECK_THROWS_WITH_TEXT(CheckpointManager(scratch / "file/run"), "file/run");
  CHECK_THROWS_AS(CheckpointManager(scratch / "run", {.keep_last = -1}), ValueError);
  CheckpointManager manager(scratch / "run");
  Checkpoint checkpoint;
  checkpoint.step = -1;
  CHECK_THROWS_AS(manager.save(checkpoint), ValueError);
  scratch.put("run/step-000000007.pt", "damaged");
  checkpoint.step = 3;
  CHECK_THROWS_WITH_TEXT(manager.resume(checkpoint), "step-000000007.pt");
  CHECK(checkpoint.step == 3);
}

TEST_CASE("temporary files are deleted once their writers are dead") {
  const testing::Scratch scratch;
  scratch.put(".step-000000001.pt.tarn-1-2-3.tmp", "abandoned");
  scratch.put(".step-000000002.pt.tarn-1-2-3.tmp", "being written");
  scratch.put(".hidden", "mine");
  const int fd = ::open((scratch / ".step-000000002.pt.tarn-1-2-3.tmp").c_str(), O_WRONLY);
  REQUIRE(::flock(fd, LOCK_EX) == 0);
  const CheckpointManager manager(scratch / "");
  CHECK(scratch.files() ==
        std::vector<std::string>{".hidden", ".step-000000002.pt.tarn-1-2-3.tmp"});
  ::close(fd);
}

// --- A program that can be stopped and started again ---------------------------------------------

namespace {

constexpr uint64_t kEpochs = 10;
constexpr bool kSanitized = testing::kAddressSanitizer || testing::kThreadSanitizer;

// What it logged for each step; REQUIREs that a step done twice came out the same.
std::map<int64_t, std::string> losses_in(const testing::Scratch& folder) {
  std::map<int64_t, std::string> losses;
  std::ifstream log(folder / "log");
  int64_t step = 0;
  std::string loss;
  while (log >> step >> loss) {
    const auto [at, is_new] = losses.emplace(step, loss);
    INFO("step " << step);
    REQUIRE((is_new || at->second == loss));
  }
  return losses;
}

testing::ChildResult run_training(const testing::Scratch& folder, const std::string& how = "") {
  return testing::run_self("[child-train]", "TARN_TEST_RUN='" + (folder / "") + "' " + how);
}

}  // namespace

TEST_CASE("train", "[.][child-train]") {
  const std::string folder = std::getenv("TARN_TEST_RUN");
  const char* const stop = std::getenv("TARN_TEST_STOP_AFTER_EPOCH");
  manual_seed(3);
  const Tensor x = rand({40, 6});
  auto dataset =
      data::datasets::TensorDataset(x, (x.sum(1) * 2).to(kInt64).remainder(3))
          .map(data::transforms::TensorLambda<>([](Tensor t) { return t + 0.1 * randn({6}); }))
          .map(data::transforms::Stack<>());
  auto loader = data::make_data_loader(std::move(dataset), data::DataLoaderOptions(8).workers(2));
  nn::Sequential net(nn::Linear(6, 16), nn::ReLU(), nn::Dropout(0.3), nn::Linear(16, 3));
  optim::Adam optimizer(net->parameters(), optim::AdamOptions(0.01));
  optim::CosineAnnealingLR scheduler(optimizer, kEpochs);

  Checkpoint checkpoint;
  checkpoint.add("model", net).add("optimizer", optimizer).add("scheduler", scheduler);
  checkpoint.add("loader", *loader);
  CheckpointManager manager(folder + "run", {.keep_last = 2, .save = {.durable = false}});
  manager.resume(checkpoint);
  std::ofstream log(folder + "log", std::ios::app);
  while (loader->epoch() < kEpochs) {
    for (auto& batch : *loader) {
      optimizer.zero_grad();
      const Tensor loss = nn::functional::cross_entropy(net->forward(batch.data), batch.target);
      loss.backward();
      optimizer.step();
      log << str(checkpoint.step, ' ', std::bit_cast<uint32_t>(loss.item<float>()), '\n')
          << std::flush;
      ++checkpoint.step;
      manager.save(checkpoint);
    }
    scheduler.step();
    manager.save(checkpoint);
    if (stop && loader->epoch() == std::stoull(stop)) return;
  }
  save(net, folder + "final.params", {.durable = false});
}

TEST_CASE("ten epochs equal five, a new process, and five, to the last bit") {
  const testing::Scratch whole, halves;
  REQUIRE(run_training(whole).status == 0);
  REQUIRE(run_training(halves, "TARN_TEST_STOP_AFTER_EPOCH=5").status == 0);
  REQUIRE(losses_in(halves).size() == 25);
  REQUIRE(run_training(halves).status == 0);
  CHECK(losses_in(halves) == losses_in(whole));
  CHECK(halves.text("final.params") == whole.text("final.params"));
}

TEST_CASE("a training that is killed again and again ends where it would have ended") {
  const testing::Scratch whole;
  REQUIRE(run_training(whole).status == 0);
  const auto losses = losses_in(whole);
  REQUIRE(losses.size() == 50);

  constexpr int kKills = kSanitized ? 20 : 200;
  std::mt19937 random(std::random_device{}());
  int kills = 0, finished = 0;
  while (kills < kKills) {
    const testing::Scratch folder;
    testing::ChildResult result{.status = 137, .output = ""};
    while (result.status == 137) {
      const unsigned range = kSanitized ? 600 : 60;
      const std::string seconds = str((5 + random() % range) / 1000.0);
      result = run_training(folder, "timeout -s KILL " + seconds);
      if (result.status == 137) ++kills;
    }
    INFO(result.output);
    REQUIRE(result.status == 0);
    ++finished;
    REQUIRE(losses_in(folder) == losses);
    REQUIRE(folder.text("final.params") == whole.text("final.params"));
  }
  INFO("killed " << kills << " times in " << finished << " trainings");
  CHECK(finished > 0);
}
