// The control socket: by which `sgxdl load|patch|rollback|unload|list --socket PATH` talk to a
// running process that has an enclave.
//
// A Unix stream socket that only the owner may open. A request is one line of JSON with the field
// "command"; the answer is one line with "ok" and, when that is false, "code" (number) and
// "error" (text):
//   load     bundle (absolute path), functions (array, optional)      → an operation's report
//   patch    bundle                                                  → an operation's report
//   extend   module, functions                                       → an operation's report
//   rollback module                                                  → an operation's report
//   unload   module, functions (optional), force (optional)          → an operation's report
//   list                                                             → enclave, loader, modules
// What the operator may do here is what the enclave lets the host do; the socket adds no right.
#pragma once

#include <memory>
#include <string>

#include "sgxdl/host.hpp"

namespace sgxdl::host {

class ControlServer {
 public:
    // Listens at `path` (replacing a socket that nobody serves) with a thread of its own. The
    // enclave must outlive it. Throws Error when the path cannot be had.
    ControlServer(Enclave& enclave, const std::string& path);
    // Stops the thread and removes the socket.
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sgxdl::host
