// A growing array whose growth can fail: no exceptions, no hidden abort. Elements are trivially
// copyable; every index is checked, also in release builds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include SGXDL_PLATFORM_HEADER

namespace sgxdl {

template <class T>
class Vec {
    static_assert(std::is_trivially_copyable_v<T>);

 public:
    Vec() = default;
    Vec(const Vec&) = delete;
    Vec(Vec&& other) noexcept { swap(other); }
    Vec& operator=(Vec&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Vec() { Platform::deallocate(data_); }

    void swap(Vec& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    // Room for `count` elements in all; false when there is no memory.
    [[nodiscard]] bool reserve(size_t count) {
        if (count <= capacity_) return true;
        size_t capacity = capacity_ * 2 > count ? capacity_ * 2 : count;
        if (capacity > SIZE_MAX / 2 / sizeof(T)) return false;
        T* data = static_cast<T*>(Platform::allocate(capacity * sizeof(T)));
        if (!data) return false;
        if (size_) memcpy(static_cast<void*>(data), data_, size_ * sizeof(T));
        Platform::deallocate(data_);
        data_ = data;
        capacity_ = capacity;
        return true;
    }
    [[nodiscard]] bool push(const T& value) {
        if (size_ == capacity_ && !reserve(size_ ? size_ * 2 : 8)) return false;
        data_[size_++] = value;
        return true;
    }
    // Grows with `value`, or cuts off.
    [[nodiscard]] bool resize(size_t count, const T& value = T{}) {
        if (!reserve(count)) return false;
        for (size_t i = size_; i < count; ++i)
            data_[i] = value;
        size_ = count;
        return true;
    }
    void truncate(size_t count) {
        SGXDL_ASSERT(count <= size_);
        size_ = count;
    }
    void remove_unordered(size_t index) {
        SGXDL_ASSERT(index < size_);
        data_[index] = data_[--size_];
    }

    T& operator[](size_t index) {
        SGXDL_ASSERT(index < size_);
        return data_[index];
    }
    const T& operator[](size_t index) const {
        SGXDL_ASSERT(index < size_);
        return data_[index];
    }
    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }
    size_t size() const { return size_; }
    size_t capacity() const { return capacity_; }
    bool empty() const { return size_ == 0; }

 private:
    T* data_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

// new and delete on the platform's heap.
template <class T, class... Arguments>
T* create(Arguments&&... arguments) {
    void* memory = Platform::allocate(sizeof(T));
    return memory ? ::new (memory) T(std::forward<Arguments>(arguments)...) : nullptr;
}
template <class T>
void destroy(T* object) {
    if (!object) return;
    object->~T();
    Platform::deallocate(object);
}

}  // namespace sgxdl
