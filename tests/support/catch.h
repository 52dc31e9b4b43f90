#pragma once
// One include for Catch2 v2 (Debian 12) and v3. Tests include this and nothing of Catch directly.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

#include <exception>
#include <string>

// CHECK_THROWS_WITH_TEXT(expr, "substring"): `expr` must throw a std::exception whose what()
// contains the text. The failure message shows the text that came instead. REQUIRE_... stops the
// test case.
#define TARN_TEST_THROWN_TEXT(check, expr, text)                                       \
  do {                                                                                 \
    std::string thrown_text_ = "(nothing was thrown)";                                 \
    try {                                                                              \
      static_cast<void>(expr);                                                         \
    } catch (const std::exception& error_) {                                           \
      thrown_text_ = error_.what();                                                    \
    }                                                                                  \
    const std::string wanted_text_ = (text);                                           \
    INFO("expression: " #expr "\nwanted text: " << wanted_text_                        \
                                                << "\nthrown text: " << thrown_text_); \
    check(thrown_text_.find(wanted_text_) != std::string::npos);                       \
  } while (false)

#define CHECK_THROWS_WITH_TEXT(expr, text) TARN_TEST_THROWN_TEXT(CHECK, expr, text)
#define REQUIRE_THROWS_WITH_TEXT(expr, text) TARN_TEST_THROWN_TEXT(REQUIRE, expr, text)

// CHECK_HAS_TEXT(text, "part"): a string contains another; both are shown if not.
#define CHECK_HAS_TEXT(text, part)                          \
  do {                                                      \
    const std::string text_ = (text), part_ = (part);       \
    INFO("text: " << text_ << "\nwanted in it: " << part_); \
    CHECK(text_.find(part_) != std::string::npos);          \
  } while (false)
