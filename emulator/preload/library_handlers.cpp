// glibc (2.34 and later) installs SIGSETXID's handler with the first pthread_create and SIGCANCEL's
// with the first pthread_cancel, by system calls of its own. A thread that cannot be cancelled
// makes it do both.
#include "emulator/preload/library_handlers.hpp"

#include <pthread.h>
#include <semaphore.h>

#include <cerrno>
#include <mutex>

#include "emulator/dispositions.hpp"

namespace sgxemu::preload {

namespace {

constexpr int sigcancel = 32, sigsetxid = 33;

struct Meeting {
    sem_t ready, leave;
};

void wait(sem_t& semaphore) {
    while (::sem_wait(&semaphore) != 0 && errno == EINTR) {
    }
}

void* be_cancelled_in_vain(void* argument) {
    auto& meeting = *static_cast<Meeting*>(argument);
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    ::sem_post(&meeting.ready);
    wait(meeting.leave);
    return nullptr;
}

void provoke_and_adopt() {
    Meeting meeting;
    ::sem_init(&meeting.ready, 0, 0);
    ::sem_init(&meeting.leave, 0, 0);
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, be_cancelled_in_vain, &meeting) == 0) {
        wait(meeting.ready);
        ::pthread_cancel(thread);
        ::sem_post(&meeting.leave);
        ::pthread_join(thread, nullptr);
    }
    for (const int signal : {sigcancel, sigsetxid})
        static_cast<void>(sgxemu::adopt_handler(signal));
}

}  // namespace

void adopt_library_handlers() {
    static std::once_flag once;
    const int saved = errno;
    std::call_once(once, provoke_and_adopt);
    errno = saved;
}

}  // namespace sgxemu::preload
