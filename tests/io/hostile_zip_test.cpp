// Zip archives that lie. Each must be refused before its lies cost anything.

#include "tarn/tests/io/hostile.h"
#include "tarn/tests/support/tensors.h"

namespace tarn::testing {

namespace {

const std::string kFloats(24, '\0');

std::string good() { return torch_file(good_pickle()); }
// Where the n-th central directory entry starts.
size_t central(const std::string& file, int n) {
  size_t at = file.find("PK\1\2");
  while (n-- > 0) at = file.find("PK\1\2", at + 1);
  return at;
}
size_t end_record(const std::string& file) { return file.rfind("PK\5\6"); }

// The zip64 form of the end: 56 bytes of record, 20 of locator, then the classic record.
std::string with_zip64(const std::string& file, uint64_t count, uint64_t locator_offset,
                       uint64_t disks = 1) {
  const size_t end = end_record(file);
  const uint64_t start = file.find("PK\1\2");
  const std::string record = le(0x06064B50, 4) + le(44, 8) + le(0x031E, 2) + le(45, 2) + le(0, 8) +
                             le(count, 8) + le(count, 8) + le(end - start, 8) + le(start, 8);
  const std::string locator = le(0x07064B50, 4) + le(0, 4) + le(locator_offset, 8) + le(disks, 4);
  return file.substr(0, end) + record + locator + file.substr(end);
}

}  // namespace

TEST_CASE("the archive the hostile ones are made from loads") {
  const std::string file = good();
  CHECK(load(file.data(), file.size()).to_tensor().numel() == 6);
  const std::string zip64 = with_zip64(file, 3, end_record(file));
  CHECK(load(zip64.data(), zip64.size()).to_tensor().numel() == 6);
}

TEST_CASE("archives cut short or with bytes around them are refused", "[hostile]") {
  const std::string file = good();
  check_refused("zip_empty_file", "", "empty");
  check_refused("zip_trunc_half", file.substr(0, file.size() / 2), "end of central directory");
  check_refused("zip_trunc_last_byte", file.substr(0, file.size() - 1), "end of central directory");
  check_refused("zip_prefix_junk", "#!/bin/sh\n" + file, "prefix");
  check_refused("bytes before, in zip's clothes", "PK\3\4" + file, "prefix");
  check_refused("zip_trailing_junk_10", file + "0123456789", "trailing");
  check_refused("comment", patched(file, file.size() - 2, le(4, 2)) + "hide", "trailing");
  const std::string fake = file.substr(end_record(file));
  check_refused("zip_eocd_in_comment", patched(file, file.size() - 2, le(fake.size(), 2)) + fake,
                "central directory");
  check_refused("nothing but an end record", fake, "empty zip");
}

TEST_CASE("end records that lie are refused", "[hostile]") {
  const std::string file = good();
  const size_t end = end_record(file);
  check_refused("zip_cd_offset_huge", patched(file, end + 16, le(0xFFFFFFF0, 4)),
                "central directory");
  check_refused("directory size", patched(file, end + 12, le(0xFFFFFFF0, 4)), "central directory");
  check_refused("zip_cd_count_60000", patched(file, end + 8, le(60000, 2) + le(60000, 2)), "count");
  check_refused("count too small", patched(file, end + 8, le(2, 2) + le(2, 2)), "count");
  check_refused("zip_multidisk", patched(file, end + 4, le(1, 2)), "disks");
  check_refused("counts differ", patched(file, end + 8, le(2, 2)), "disks");
  check_refused("zip64 asked for, none there",
                patched(file, end + 8, le(0xFFFF, 2) + le(0xFFFF, 2)), "zip64");
  check_refused("zip64_locator_out_of_range", with_zip64(file, 3, uint64_t{1} << 62), "zip64");
  check_refused("zip64_eocd_loop", with_zip64(file, 3, end + 56), "zip64");
  check_refused("zip64 locator of several disks", with_zip64(file, 3, end, 2), "zip64");
  check_refused("zip64_fields_disagree", with_zip64(file, 2, end), "zip64");
}

TEST_CASE("members that reach beyond the file or into each other are refused", "[hostile]") {
  const std::string file = good();
  auto members = torch_members(good_pickle(), kFloats);
  check_refused("zip_entry_size_4g",
                patched(file, central(file, 1) + 20, le(0xFFFFFFF0, 4) + le(0xFFFFFFF0, 4)),
                "beyond file");
  check_refused("offset beyond", patched(file, central(file, 1) + 42, le(0xFFFFFFF0, 4)),
                "beyond file");
  members[1].offset = 0;
  check_refused("zip_entry_offset_alias", raw_zip(members), "name mismatch");
  members = torch_members(good_pickle(), kFloats);
  members[0].size = members[0].stored = static_cast<uint32_t>(members[0].data.size() + 40);
  check_refused("zip_overlap_entries", raw_zip(members), "overlap");
  members = torch_members(good_pickle(), kFloats);
  members.push_back(members[1]);
  check_refused("zip_dup_entry", raw_zip(members), "duplicate");
  members.back().offset = 60;
  check_refused("a header inside another member", raw_zip(members), "name mismatch");
  members = torch_members(good_pickle(), kFloats);
  members[1].size = 48;
  check_refused("stored with two sizes", raw_zip(members), "two sizes");
  members = torch_members(good_pickle(), kFloats);
  members[1].size = 0xFFFFFFFF;
  check_refused("zip64 field missing", raw_zip(members), "zip64 field is missing");
  members[1].central_extra = le(1, 2) + le(4, 2) + le(0, 4);
  check_refused("zip64 field short", raw_zip(members), "zip64 field is cut short");
  members[1].central_extra = le(1, 2) + le(400, 2);
  check_refused("extra field short", raw_zip(members), "extra field is cut short");
  members[1].stored = 0xFFFFFFFF;
  members[1].central_extra =
      le(1, 2) + le(16, 2) + le(uint64_t{1} << 63, 8) + le(uint64_t{1} << 63, 8);
  check_refused("zip64 size of 2^63", raw_zip(members), "beyond file");
}

TEST_CASE("members that readers could see in two ways are refused", "[hostile]") {
  const auto with = [](const auto& change) {
    auto members = torch_members(good_pickle(), kFloats);
    change(members);
    return raw_zip(members);
  };
  check_refused("zip_encrypted_flag", with([](auto& m) { m[0].flags |= 1; }), "encrypt");
  check_refused("strong encryption", with([](auto& m) { m[0].flags |= 1 << 6; }), "encrypt");
  check_refused("zip_method_99", with([](auto& m) { m[1].method = 99; }), "method 99");
  check_refused("zip_local_central_name_differ",
                with([](auto& m) { m[1].local_name = "archive/data/1"; }), "name");
  check_refused("flags differ", with([](auto& m) { m[1].local_flags = 0; }), "disagree");
  check_refused("other disk", with([](auto& m) { m[1].disk = 1; }), "disks");
  check_refused("zip_name_traversal", with([](auto& m) {
                  for (auto& x : m) x.name = "../" + x.name;
                }),
                "archive name");
  check_refused("zip_name_abs", with([](auto& m) {
                  for (auto& x : m) x.name = "/" + x.name;
                }),
                "archive name");
  check_refused("no folder", with([](auto& m) { m[1].name = "data"; }), "archive name");
  check_refused("zip_name_nul", with([](auto& m) { m[1].name += '\0'; }), "NUL");
  check_refused("zip_name_backslash", with([](auto& m) { m[1].name = "archive\\data"; }),
                "backslash");
  check_refused("long name", with([](auto& m) { m[1].name += std::string(5000, 'a'); }),
                "too long");
  check_refused("a name that moves a terminal's cursor",
                with([](auto& m) { m[1].name = "\n\x1b[2J/data/0"; }), "outside archive folder");
  check_refused("zip_two_top_dirs", with([](auto& m) { m[1].name = "other/data/0"; }),
                "outside archive folder");
}

TEST_CASE("damaged bytes are found by their CRC", "[hostile]") {
  auto members = torch_members(good_pickle(), kFloats);
  members[1].crc = 1;
  check_refused("zip_crc_payload", raw_zip(members), "CRC");
  members = torch_members(good_pickle(), kFloats);
  members[0].crc = 1;
  check_refused("zip_crc_pkl", raw_zip(members), "CRC");
}

TEST_CASE("deflated members load, and lies about their size are refused", "[hostile]") {
  auto members = torch_members(good_pickle(), kFloats);
  for (RawMember& member : members) member.deflate = true;
  const std::string file = raw_zip(members);
  CHECK(elements<float>(check_loads("zip_deflate_ok", file).to_tensor()) == std::vector<float>(6));

  members[2].size = 1;
  check_refused("zip_deflate_lies_usize", raw_zip(members), "more than its size");
  members[2].size = 3;
  check_refused("inflates to less", raw_zip(members), "does not inflate to its size");
  members[1].size = 0xFFFFFFFE;
  check_refused("zip_deflate_bomb_4g", raw_zip(members), "limit");
  members[1].size = 0xFFFFFFFF;
  members[1].central_extra = le(1, 2) + le(8, 2) + le(uint64_t{40} << 30, 8);
  check_refused("zip_deflate_bomb_40g", raw_zip(members), "limit");
  members = torch_members(good_pickle(), kFloats);
  members[1].method = 8;
  check_refused("not deflate data", raw_zip(members), "broken");
  std::vector<RawMember> bombs = torch_members(good_pickle(), kFloats);
  const std::string stored(4 << 20, 'x');
  bombs[1].data = stored;
  bombs[1].method = 8;
  bombs[1].size = 0xFFFFFFF0;
  check_refused("4 GB out of 4 MB", raw_zip(bombs), "limit");
}

TEST_CASE("archives that are no PyTorch state are refused by name", "[hostile]") {
  const auto of = [](std::vector<RawMember> members) { return raw_zip(members); };
  auto members = torch_members(good_pickle(), kFloats);
  check_refused("zip_no_version", of({members[0], members[1]}), "version");
  members[2].data = "99\n";
  check_refused("zip_version_99", of(members), "version 99");
  members[2].data = std::string(70, '1');
  check_refused("long version", of(members), "limit");
  members[2].data = "3\n";
  check_refused("zip_no_data_pkl", of({members[1], members[2]}), "data.pkl");
  members.push_back({"archive/byteorder", "middle"});
  check_refused("zip_byteorder_middle", of(members), "byteorder");
  members.back() = {"archive/constants.pkl", ""};
  check_refused("zip_torchscript", of(members), "TorchScript");
  check_refused("old TorchScript", "PYTORCH1" + std::string(100, ' '), "TorchScript");
  check_refused("leg_tar", std::string(257, 'a') + "ustar" + std::string(300, 'b'), "tar");
  check_refused("bare pickle", good_pickle(), "pickle");
  check_refused("gzip", "\x1f\x8b" + std::string(100, ' '), "gzip");
  check_refused("text", "a, b\n1, 2\n", "neither");
  check_refused("one byte", "P", "neither");
}

TEST_CASE("version 3 may lie in .data/, and big-endian storages are swapped", "[hostile]") {
  auto members =
      torch_members(good_pickle(), std::string("\x3f\x80\0\0", 4) + std::string(20, '\0'));
  members[2].name = "archive/.data/version";
  members.push_back({"archive/byteorder", "big"});
  const std::string file = raw_zip(members);
  CHECK(elements<float>(check_loads("zip_big_endian", file).to_tensor())[0] == 1.0F);
}

TEST_CASE("every truncation of a file is refused") {
  const std::string file = good();
  for (size_t size = 0; size < file.size(); ++size) {
    INFO("cut to " << size << " of " << file.size() << " bytes");
    CHECK_THROWS_AS(load(file.data(), size), Error);
  }
}

TEST_CASE("a file with any one byte changed loads or is refused, and nothing else") {
  const std::string file = good();
  // What may change are header fields that no reader needs, and the sizes and CRCs of local
  // headers.
  CHECK(refused_changes(file) > static_cast<int>(file.size()) * 2);
}

}  // namespace tarn::testing
