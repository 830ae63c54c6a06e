// A directory for one test, gone with it; in memory where there is room, since tests sync a great
// deal.
#ifndef VAULT_TESTS_STORE_TEMP_DIR_H_
#define VAULT_TESTS_STORE_TEMP_DIR_H_

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "gtest/gtest.h"
#include "vault/base/logging.h"

namespace vault::store {

class TempDir {
 public:
  TempDir() : path_(Root() + "vault_store_XXXXXX") {
    VAULT_CHECK(::mkdtemp(path_.data()) != nullptr) << path_;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  static std::string Root() {
    std::error_code error;
    const std::filesystem::space_info shm = std::filesystem::space("/dev/shm", error);
    return !error && shm.available > (256 << 20) ? "/dev/shm/" : ::testing::TempDir();
  }

  std::string path_;
};

inline std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), bytes.size());
  out.close();
  VAULT_CHECK(out.good()) << path;
}

// The names of the files in `dir`, sorted.
inline std::vector<std::string> FileNames(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace vault::store

#endif  // VAULT_TESTS_STORE_TEMP_DIR_H_
