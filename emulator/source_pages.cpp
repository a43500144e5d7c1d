// /proc/self/maps tells the file behind a mapping, statfs how its file system is mounted. Read
// without the C library's streams: the caller has signals blocked and may be in the middle of
// anything.
#include "emulator/source_pages.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "emulator/host.hpp"

namespace sgxemu {

namespace {

std::string read_maps() {
    std::string text;
    const auto fd =
        static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC));
    if (fd < 0) return text;
    std::array<char, 16384> buffer;
    for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<size_t>(n));
    host::close(fd);
    return text;
}

// The path of a line of maps, if it has one.
std::string path_of(const std::string& line) {
    const size_t slash = line.find('/');
    return slash == std::string::npos ? std::string() : line.substr(slash);
}

bool is_on_noexec(const std::string& path) {
    struct statvfs status {};
    return !path.empty() && ::statvfs(path.c_str(), &status) == 0 &&
           (status.f_flag & ST_NOEXEC) != 0;
}

}  // namespace

size_t executable_source(uint64_t address, size_t size) {
    const std::string maps = read_maps();
    size_t at = 0;
    while (at < maps.size()) {
        const size_t end = std::min(maps.find('\n', at), maps.size());
        const std::string line = maps.substr(at, end - at);
        at = end + 1;
        uint64_t from = 0, to = 0;
        if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64, &from, &to) != 2) continue;
        if (to <= address || from >= address + size || !is_on_noexec(path_of(line))) continue;
        return from <= address ? 0 : from - address;
    }
    return size;
}

}  // namespace sgxemu
