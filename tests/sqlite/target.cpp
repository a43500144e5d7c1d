#include "tests/sqlite/target.hpp"

#include <ostream>

namespace sgxdl::sqlite::test {

std::ostream& operator<<(std::ostream& out, const Footprint& f) {
    return out << "pages " << f.pages << " (code " << f.code_pages << "), heap " << f.heap_blocks
               << ", stubs " << f.stubs << ", units " << f.units << ", generations "
               << f.generations;
}

}  // namespace sgxdl::sqlite::test
