// tarn-ckpt: looks into files of tensors, compares and converts them.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tarn/core/functions.h"
#include "tarn/core/ops.h"
#include "tarn/core/print.h"
#include "tarn/io/serialize.h"

namespace {

using namespace tarn;
using Json = nlohmann::ordered_json;

constexpr const char* kHelp = R"(usage: tarn-ckpt COMMAND FILE... [options]

  ls FILE          every tensor and value: name, dtype, shape, bytes
  show FILE NAME   one of them: statistics of a tensor, and its elements if they are few
  diff A B         what is in one file only or differs; exit status 1 if anything is
  convert A B      writes B in the format its name asks for: .safetensors, .npz, .npy, or
                   else PyTorch's
  verify FILE      reads all of the file and compares its checksums

  --json           output for programs (not of convert)
  --key NAME       convert: only this part of A
  --tensors-only   convert: leave out what is no tensor, where B cannot hold it
  --rtol R --atol A  diff: elements are equal within A + R * |b| (default: exactly)

Reads PyTorch's files (of any version), safetensors (with an index, too), .npy and .npz.
Nothing in a file is ever executed.
Exit status: 0, 1 if diff finds a difference, 2 on an error.
)";

struct Options {
  std::vector<std::string> words;  // the command and its arguments
  bool json = false, tensors_only = false;
  std::string key;
  double rtol = 0, atol = 0;
};

// --- Values by name ------------------------------------------------------------------------------

struct Leaf {
  std::string name;
  Value value;  // a tensor's elements are not there
};

// What shows best as one: a tensor, a plain value, a list of plain values, an empty container.
bool is_leaf(const Value& value) {
  if (value.is_dict()) return value.size() == 0;
  if (!value.is_list() && !value.is_tuple()) return true;
  return std::none_of(value.begin(), value.end(), [](const Value& element) {
    return element.is_tensor() || element.is_dict() || element.is_list() || element.is_tuple();
  });
}

// The leaves below a value, under the names that TensorInfo gives.
void collect(const Value& value, const std::string& name, std::vector<Leaf>& leaves) {
  const auto below = [&](const std::string& key) { return name.empty() ? key : name + "." + key; };
  if (is_leaf(value)) {
    leaves.push_back({name, value});
  } else if (value.is_dict()) {
    for (const auto& [key, element] : value.entries())
      collect(element, below(key.is_string() ? key.to_string() : str(key)), leaves);
  } else {
    for (size_t i = 0; i < value.size(); ++i)
      collect(value.elements()[i], below(std::to_string(i)), leaves);
  }
}

struct File {
  explicit File(const std::string& path_) : path(path_), file(open(path_)) {
    collect(file.outline(), "", leaves);
  }
  const Leaf* find(const std::string& name) const {
    const auto at = std::find_if(leaves.begin(), leaves.end(),
                                 [&](const Leaf& leaf) { return leaf.name == name; });
    return at == leaves.end() ? nullptr : &*at;
  }

  std::string path;
  TensorFile file;
  std::vector<Leaf> leaves;
};

// Names come from the file: what would move a terminal's cursor is shown as a number.
std::string printable(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", byte);
    safe += byte < 0x20 || byte == 0x7F ? code : std::string(1, c);
  }
  return safe;
}

std::string human(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

Json describe(const Leaf& leaf) {
  Json row = {{"name", leaf.name}};
  if (leaf.value.is_tensor()) {
    const Tensor& t = leaf.value.to_tensor();
    row["dtype"] = python_name(t.dtype());
    row["shape"] = t.sizes().vec();
    row["bytes"] = t.nbytes();
  } else {
    row["kind"] = Value::name(leaf.value.kind());
    row["value"] = str(leaf.value);
  }
  return row;
}

// Names and text of a file may be no utf-8.
void print_json(const Json& json) {
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

// Text in columns.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] + 2 - row[i].size(), ' ');
    }
    std::cout << line << '\n';
  }
}

Json summary(const File& file) {
  int64_t tensors = 0, bytes = 0;
  for (const Leaf& leaf : file.leaves) {
    if (!leaf.value.is_tensor()) continue;
    ++tensors;
    bytes += static_cast<int64_t>(leaf.value.to_tensor().nbytes());
  }
  return {{"file", file.path},
          {"format", file.file.format()},
          {"tensors", tensors},
          {"bytes", bytes}};
}

std::string summary_line(const Json& s) {
  return str(s["format"].get<std::string>(), ", ", s["tensors"].get<int64_t>(), " tensors, ",
             human(s["bytes"].get<double>()));
}

// --- Commands ------------------------------------------------------------------------------------

int run_ls(const Options& options) {
  const File file(options.words[1]);
  Json list = summary(file);
  if (options.json) {
    list["entries"] = Json::array();
    for (const Leaf& leaf : file.leaves) list["entries"].push_back(describe(leaf));
    print_json(list);
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Leaf& leaf : file.leaves) {
    const std::string name = leaf.name.empty() ? "(the file)" : printable(leaf.name);
    if (leaf.value.is_tensor()) {
      const Tensor& t = leaf.value.to_tensor();
      rows.push_back({name, python_name(t.dtype()), str(t.sizes()),
                      human(static_cast<double>(t.nbytes()))});
    } else {
      rows.push_back({name, Value::name(leaf.value.kind()), printable(str(leaf.value))});
    }
  }
  print_table(rows);
  std::cout << summary_line(list) << '\n';
  return 0;
}

int run_show(const Options& options) {
  const File file(options.words[1]);
  const Leaf* const leaf = file.find(options.words[2]);
  if (!leaf) {
    throw IndexError(str(file.path, ": there is no '", options.words[2],
                         "'. HINT: tarn-ckpt ls lists all names"));
  }
  Json shown = describe(*leaf);
  if (!leaf->value.is_tensor()) {
    if (options.json)
      print_json(shown);
    else
      std::cout << printable(str(leaf->value)) << '\n';
    return 0;
  }
  constexpr int64_t kFew = 1000;
  const Tensor t = file.file.at(leaf->name);
  const Tensor numbers = t.to(kDouble);
  if (t.numel() > 0) {
    shown["min"] = numbers.min().item<double>();
    shown["max"] = numbers.max().item<double>();
    shown["mean"] = numbers.mean().item<double>();
    shown["nan"] = numbers.isnan().sum().item<int64_t>();
  }
  if (options.json) {
    if (t.numel() <= kFew) {
      Json elements = Json::array();
      const Tensor flat = numbers.contiguous();
      for (int64_t i = 0; i < flat.numel(); ++i)
        elements.push_back(flat.const_data_ptr<double>()[i]);
      shown["elements"] = std::move(elements);  // in row-major order
    }
    print_json(shown);
    return 0;
  }
  std::cout << printable(leaf->name) << ": " << python_name(t.dtype()) << ' ' << t.sizes();
  for (const char* key : {"min", "max", "mean", "nan"}) {
    if (shown.contains(key)) std::cout << ", " << key << ' ' << shown[key].dump();
  }
  std::cout << '\n';
  if (t.numel() <= kFew) std::cout << t << '\n';
  return 0;
}

// How two tensors differ; "" if they do not.
std::string difference(const Tensor& a, const Tensor& b, const Options& options) {
  if (a.dtype() != b.dtype()) return str("dtype ", a.dtype(), " and ", b.dtype());
  if (!(a.sizes() == b.sizes())) return str("shape ", a.sizes(), " and ", b.sizes());
  // Exactly, unless a tolerance is given; double holds all but the largest int64.
  Tensor equal_at = a.eq(b);
  if (is_floating_point(a.dtype())) equal_at = equal_at.logical_or(a.ne(a).logical_and(b.ne(b)));
  const Tensor x = a.to(kDouble), y = b.to(kDouble);
  if (options.rtol > 0 || options.atol > 0)
    equal_at = equal_at.logical_or(isclose(x, y, options.rtol, options.atol));
  const int64_t unequal = equal_at.logical_not().sum().item<int64_t>();
  if (unequal == 0) return "";
  return str(unequal, " of ", a.numel(), " elements, by at most ",
             (x - y).abs().masked_fill(equal_at, 0).max().item<double>());
}

int run_diff(const Options& options) {
  const File a(options.words[1]), b(options.words[2]);
  Json found = Json::array();
  const auto add = [&](const std::string& name, const std::string& what) {
    found.push_back({{"name", name}, {"difference", what}});
  };
  std::map<std::string, const Leaf*> of_b;
  for (const Leaf& leaf : b.leaves) of_b.emplace(leaf.name, &leaf);
  for (const Leaf& leaf : a.leaves) {
    const auto at = of_b.find(leaf.name);
    if (at == of_b.end()) {
      add(leaf.name, "only in " + a.path);
      continue;
    }
    const Value& other = at->second->value;
    if (leaf.value.is_tensor() && other.is_tensor()) {
      const std::string what =
          difference(a.file.at(leaf.name), b.file.at(leaf.name), options);
      if (!what.empty()) add(leaf.name, what);
    } else if (str(leaf.value) != str(other)) {
      add(leaf.name, str(leaf.value, " and ", other));
    }
    of_b.erase(at);
  }
  for (const Leaf& leaf : b.leaves) {
    if (of_b.contains(leaf.name)) add(leaf.name, "only in " + b.path);
  }
  if (options.json) {
    print_json(found);
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const Json& row : found) {
      rows.push_back({printable(row["name"].get<std::string>()),
                      printable(row["difference"].get<std::string>())});
    }
    print_table(rows);
    if (rows.empty()) std::cout << "no difference in " << a.leaves.size() << " entries\n";
  }
  return found.empty() ? 0 : 1;
}

int run_convert(const Options& options) {
  const std::string &from = options.words[1], &to = options.words[2];
  Value value = load(from);
  if (!options.key.empty()) value = value.at(options.key);
  if (options.tensors_only) {
    std::vector<Leaf> leaves;
    collect(value, "", leaves);
    value = Value::dict();
    for (const Leaf& leaf : leaves) {
      if (leaf.value.is_tensor()) value.set(leaf.name, leaf.value);
    }
  }
  try {
    save(value, to);
  } catch (const TypeError& error) {
    throw TypeError(str(error.what(), ". HINT: --key NAME converts a part, --tensors-only leaves ",
                        "out what is no tensor and joins names by dots"));
  }
  return 0;
}

int run_verify(const Options& options) {
  const File file(options.words[1]);
  static_cast<void>(load(file.path));
  Json result = summary(file);
  if (options.json) {
    print_json(result);
  } else {
    std::cout << file.path << ": good (" << summary_line(result) << ")\n";
  }
  return 0;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      TARN_CHECK(i + 1 < argc, word, " needs a value");
      return argv[++i];
    };
    const auto number = [&] {
      const std::string text = value();
      char* end = nullptr;
      const double n = std::strtod(text.c_str(), &end);
      TARN_CHECK(!text.empty() && *end == 0 && n >= 0, word, ": '", text, "' is no tolerance");
      return n;
    };
    if (word == "--json")
      options.json = true;
    else if (word == "--tensors-only")
      options.tensors_only = true;
    else if (word == "--key")
      options.key = value();
    else if (word == "--rtol")
      options.rtol = number();
    else if (word == "--atol")
      options.atol = number();
    else if (word.starts_with("--"))
      throw Error("unknown option " + word + ": see tarn-ckpt --help");
    else
      options.words.push_back(word);
  }
  return options;
}

int run(const Options& options) {
  struct Command {
    int (*run)(const Options&);
    size_t files;
  };
  static const std::map<std::string, Command> commands = {{"ls", {run_ls, 1}},
                                                          {"show", {run_show, 2}},
                                                          {"diff", {run_diff, 2}},
                                                          {"convert", {run_convert, 2}},
                                                          {"verify", {run_verify, 1}}};
  TARN_CHECK(!options.words.empty(), "no command: see tarn-ckpt --help");
  const auto at = commands.find(options.words[0]);
  TARN_CHECK(at != commands.end(), "unknown command ", options.words[0], ": see tarn-ckpt --help");
  TARN_CHECK(options.words.size() == at->second.files + 1, options.words[0], " takes ",
             at->second.files, " arguments, got ", options.words.size() - 1);
  return at->second.run(options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string(argv[1]) == "--help" || std::string(argv[1]) == "-h")) {
    std::cout << kHelp;
    return 0;
  }
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "tarn-ckpt: " << printable(error.what()) << '\n';
    return 2;
  }
}
