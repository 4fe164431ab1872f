// The selective scan on the CPU, forward and backward, without any tensor of size (b, l, d, n).
//
//   h[t] = exp(delta[t] * A) * h[t - 1] + delta[t] * u[t] * B[t],    y[t] = C[t] . h[t]
//
// All arrays are float and contiguous: u, delta, y (b, l, d); A (d, n); B, C (b, l, g, n). The channels of a group lie
// side by side. Each tile of channels is worked through by one thread and writes only to places of its own, so the
// result does not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int LANES = 16;  // channels of a tile: one register of AVX-512, two of AVX2, four of NEON
constexpr int BLOCK = 32;  // steps between two states that the backward pass keeps

struct Shape {
    int64_t batch, length, channels, groups, states;

    int64_t group_channels() const { return channels / groups; }
    int64_t group_tiles() const { return (group_channels() + LANES - 1) / LANES; }
    int64_t tiles() const { return batch * groups * group_tiles(); }
    int64_t cells() const { return states * LANES; }  // numbers in the state of a tile
};

struct Tile {
    int64_t image, group, part, channel;
    int count;  // channels in use, fewer than LANES at the end of a group

    Tile(const Shape& s, int64_t index) {
        part = index % s.group_tiles();
        group = index / s.group_tiles() % s.groups;
        image = index / s.group_tiles() / s.groups;
        channel = group * s.group_channels() + part * LANES;
        count = static_cast<int>(std::min<int64_t>(LANES, s.group_channels() - part * LANES));
    }
    int64_t row(const Shape& s, int64_t t) const { return (image * s.length + t) * s.channels + channel; }
    int64_t vector(const Shape& s, int64_t t) const { return ((image * s.length + t) * s.groups + group) * s.states; }
    // The same in (b, tiles of a group, l, g, n), where every tile has gradients of B and C of its own.
    int64_t partial(const Shape& s, int64_t t) const {
        return (((image * s.group_tiles() + part) * s.length + t) * s.groups + group) * s.states;
    }
};

// exp(x) within 2 ulp for -87 <= x <= 88, by Cephes' polynomial on |x| <= ln(2) / 2; unlike std::exp every compiler
// turns it into vector instructions.
inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float power = std::nearbyint(x * 1.44269504088896341f);
    float r = x - power * 0.693359375f;
    r = r + power * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float mantissa = p * (r * r) + r + 1.0f;
    const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(power) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return mantissa * scale;
}

inline void load(const float* from, int count, float* to) {
    if (count == LANES) {
        std::memcpy(to, from, LANES * sizeof(float));
        return;
    }
    for (int i = 0; i < LANES; ++i) to[i] = i < count ? from[i] : 0.0f;
}

inline void store(const float* from, int count, float* to) {
    if (count == LANES) {
        std::memcpy(to, from, LANES * sizeof(float));
        return;
    }
    std::memcpy(to, from, count * sizeof(float));
}

// A of the tile's channels as (n, lane).
std::vector<float> rates(const Shape& s, const Tile& tile, const float* A) {
    std::vector<float> a(s.cells(), 0.0f);
    for (int64_t n = 0; n < s.states; ++n)
        for (int i = 0; i < tile.count; ++i) a[n * LANES + i] = A[(tile.channel + i) * s.states + n];
    return a;
}

struct Inputs {
    const float *u, *delta, *A, *B, *C;
};

// One step's delta and delta * u.
struct Step {
    float u[LANES], delta[LANES], x[LANES];

    Step(const Shape& s, const Tile& tile, const Inputs& in, int64_t t) {
        load(in.u + tile.row(s, t), tile.count, u);
        load(in.delta + tile.row(s, t), tile.count, delta);
        for (int i = 0; i < LANES; ++i) x[i] = delta[i] * u[i];
    }
};

void forward(const Shape& s, const Tile& tile, const Inputs& in, float* y) {
    const std::vector<float> a = rates(s, tile, in.A);
    std::vector<float> state(s.cells(), 0.0f);
    for (int64_t t = 0; t < s.length; ++t) {
        const Step step(s, tile, in, t);
        const float *B = in.B + tile.vector(s, t), *C = in.C + tile.vector(s, t);
        float out[LANES] = {};
        for (int64_t n = 0; n < s.states; ++n) {
            const float* rate = a.data() + n * LANES;
            float* h = state.data() + n * LANES;
            const float b = B[n], c = C[n];
#pragma omp simd
            for (int i = 0; i < LANES; ++i) {
                h[i] = exponential(step.delta[i] * rate[i]) * h[i] + step.x[i] * b;
                out[i] += h[i] * c;
            }
        }
        store(out, tile.count, y + tile.row(s, t));
    }
}

// after = exp(delta * A) * before + delta * u * B, and the factors exp(delta * A).
inline void advance(
    const Shape& s, const Step& step, const float* a, const float* B, const float* before, float* after, float* decay
) {
    for (int64_t n = 0; n < s.states; ++n) {
        const float b = B[n];
#pragma omp simd
        for (int i = 0; i < LANES; ++i) {
            const float e = exponential(step.delta[i] * a[n * LANES + i]);
            decay[n * LANES + i] = e;
            after[n * LANES + i] = e * before[n * LANES + i] + step.x[i] * b;
        }
    }
}

struct Gradients {
    float *u, *delta, *A, *B, *C;  // A is (b, d, n); B and C are (b, tiles of a group, l, g, n)
};

// What one tile holds while it goes backward.
struct Tape {
    std::vector<float> a, kept, states, decays, incoming, rates;  // kept: the state before each block

    Tape(const Shape& s, const Tile& tile, const Inputs& in)
        : a(::rates(s, tile, in.A)),
          kept((s.length + BLOCK - 1) / BLOCK * s.cells()),
          states((BLOCK + 1) * s.cells()),
          decays(BLOCK * s.cells()),
          incoming(s.cells(), 0.0f),
          rates(s.cells(), 0.0f) {
        std::vector<float> state(s.cells(), 0.0f);
        for (int64_t t = 0; t < s.length; ++t) {
            if (t % BLOCK == 0) std::copy(state.begin(), state.end(), kept.begin() + t / BLOCK * s.cells());
            const Step step(s, tile, in, t);
            advance(s, step, a.data(), in.B + tile.vector(s, t), state.data(), state.data(), decays.data());
        }
    }

    void replay(const Shape& s, const Tile& tile, const Inputs& in, int64_t first, int64_t last) {
        std::copy_n(kept.begin() + first / BLOCK * s.cells(), s.cells(), states.begin());
        for (int64_t t = first; t < last; ++t) {
            const Step step(s, tile, in, t);
            float* before = states.data() + (t - first) * s.cells();
            float* decay = decays.data() + (t - first) * s.cells();
            advance(s, step, a.data(), in.B + tile.vector(s, t), before, before + s.cells(), decay);
        }
    }
};

void backward_step(
    const Shape& s, const Tile& tile, const Inputs& in, const float* grad_y, int64_t t, int64_t first, Tape& tape,
    const Gradients& out
) {
    const Step step(s, tile, in, t);
    const float *B = in.B + tile.vector(s, t), *C = in.C + tile.vector(s, t);
    float gy[LANES], gx[LANES] = {}, gdelta[LANES] = {}, gu[LANES];
    load(grad_y + tile.row(s, t), tile.count, gy);
    for (int64_t n = 0; n < s.states; ++n) {
        const float* before = tape.states.data() + (t - first) * s.cells() + n * LANES;
        const float* after = before + s.cells();
        const float* decay = tape.decays.data() + (t - first) * s.cells() + n * LANES;
        const float* a = tape.a.data() + n * LANES;
        float *incoming = tape.incoming.data() + n * LANES, *ga = tape.rates.data() + n * LANES;
        const float b = B[n], c = C[n];
        float sum_b = 0.0f, sum_c = 0.0f;
#pragma omp simd reduction(+ : sum_b, sum_c)
        for (int i = 0; i < LANES; ++i) {
            const float g = incoming[i] + gy[i] * c;  // gradient of h[t]
            const float carried = g * decay[i];
            const float exponent = carried * before[i];  // gradient of delta * A
            sum_b += g * step.x[i];
            sum_c += gy[i] * after[i];
            gx[i] += g * b;
            gdelta[i] += exponent * a[i];
            ga[i] += exponent * step.delta[i];
            incoming[i] = carried;
        }
        out.B[tile.partial(s, t) + n] = sum_b;
        out.C[tile.partial(s, t) + n] = sum_c;
    }
    for (int i = 0; i < LANES; ++i) {
        gu[i] = gx[i] * step.delta[i];
        gdelta[i] += gx[i] * step.u[i];
    }
    store(gu, tile.count, out.u + tile.row(s, t));
    store(gdelta, tile.count, out.delta + tile.row(s, t));
}

void backward(const Shape& s, const Tile& tile, const Inputs& in, const float* grad_y, const Gradients& out) {
    Tape tape(s, tile, in);
    for (int64_t first = (s.length - 1) / BLOCK * BLOCK; first >= 0; first -= BLOCK) {
        const int64_t last = std::min<int64_t>(first + BLOCK, s.length);
        tape.replay(s, tile, in, first, last);
        for (int64_t t = last - 1; t >= first; --t) backward_step(s, tile, in, grad_y, t, first, tape, out);
    }
    float* ga = out.A + (tile.image * s.channels + tile.channel) * s.states;
    for (int i = 0; i < tile.count; ++i)
        for (int64_t n = 0; n < s.states; ++n) ga[i * s.states + n] = tape.rates[n * LANES + i];
}

}  // namespace

extern "C" int scan_lanes() { return LANES; }

// `shape` holds b, l, d, g, n.
extern "C" void scan_forward(
    const int64_t* shape, const float* u, const float* delta, const float* A, const float* B, const float* C, float* y,
    int threads
) {
    const Shape s{shape[0], shape[1], shape[2], shape[3], shape[4]};
    const Inputs in{u, delta, A, B, C};
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t index = 0; index < s.tiles(); ++index) forward(s, Tile(s, index), in, y);
}

extern "C" void scan_backward(
    const int64_t* shape, const float* u, const float* delta, const float* A, const float* B, const float* C,
    const float* grad_y, float* grad_u, float* grad_delta, float* grad_A, float* grad_B, float* grad_C, int threads
) {
    const Shape s{shape[0], shape[1], shape[2], shape[3], shape[4]};
    const Inputs in{u, delta, A, B, C};
    const Gradients out{grad_u, grad_delta, grad_A, grad_B, grad_C};
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t index = 0; index < s.tiles(); ++index) backward(s, Tile(s, index), in, grad_y, out);
}
