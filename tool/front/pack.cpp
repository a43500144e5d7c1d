#include "tool/front/pack.hpp"

#include "tool/front/builder.hpp"
#include "tool/front/debug_info.hpp"
#include "tool/front/elf_file.hpp"

namespace sgxdl::front {

Image build_image(const std::vector<std::string>& paths, uint64_t xfrm) {
    initialise();
    std::vector<InputObject> objects = read_objects(paths);
    Image image = Builder(objects, xfrm).build();
    DebugInfo debug = DebugInfo::read(paths, DebugInfo::Detail::producers);
    for (const std::string& producer : debug.producers()) {
        image.notes.push_back("producer=" + producer);
    }
    return image;
}

std::vector<uint8_t> pack_objects(const std::vector<std::string>& paths,
                                  const PackOptions& options) {
    BundleInfo info;
    info.product = options.product;
    info.module = options.module;
    info.version = options.version;
    info.security_version = options.security_version;
    return seal(info, write_elf(build_image(paths, options.xfrm)), options.key);
}

}  // namespace sgxdl::front
