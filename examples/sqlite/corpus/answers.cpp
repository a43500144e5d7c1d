#include "examples/sqlite/corpus/answers.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace sgxdl::sqlite {

Expected Expected::read(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw std::runtime_error("cannot read " + file);
    try {
        const auto json = nlohmann::json::parse(in);
        return {json.at("state"), json.at("answers")};
    } catch (const nlohmann::json::exception& error) {
        throw std::runtime_error(file + ": " + error.what());
    }
}

void Expected::write(const std::string& file) const {
    // Under another name first: readers never see half a file.
    const std::string fresh = file + ".new";
    {
        std::ofstream out(fresh);
        out << nlohmann::json{{"state", state}, {"answers", answers}}.dump(1) << '\n';
        if (!out.flush()) throw std::runtime_error("cannot write " + fresh);
    }
    if (std::rename(fresh.c_str(), file.c_str()) != 0)
        throw std::runtime_error("cannot write " + file);
}

const std::string& Expected::of(const std::string& query) const {
    const auto found = answers.find(query);
    if (found == answers.end()) {
        throw std::out_of_range("state " + state + " has no expected answer to " + query);
    }
    return found->second;
}

}  // namespace sgxdl::sqlite
