/* SPDX-License-Identifier: MIT */
#include "vmbus/dynmem_policy.h"

#include "base/clock.h"

#define MIB  (1ULL << 20)
#define STEP (2 * MIB)

#define DEFAULT_BUFFER_PERCENT 20

/* Clearly more, clearly less. */
#define GROW_SHARE       64
#define GROW_MIN_BYTES   (16 * MIB)
#define SHRINK_SHARE     10
#define SHRINK_MIN_BYTES (64 * MIB)

#define SHRINK_STEP_SHARE 8
#define SHRINK_WAIT_NS    (10 * NS_PER_SEC)
#define REST_GROWN_NS     (30 * NS_PER_SEC)
#define REST_REFUSED_NS   (60 * NS_PER_SEC)

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : MIN(v, max);
}

/* No guest has more than the maximum, so what it claims beyond is cut before it is multiplied. */
static uint64_t wish(const struct dynmem_limits *limits, const struct dynmem_sample *sample)
{
	unsigned percent = limits->buffer_percent ? limits->buffer_percent : DEFAULT_BUFFER_PERCENT;
	uint64_t available = MIN(sample->available_bytes, sample->assigned_bytes);
	uint64_t need = MAX(sample->committed_bytes, sample->assigned_bytes - available);

	need = MIN(need, limits->max_bytes);
	need += need / 100 * percent;
	return clamp(ALIGN_UP(need, STEP), limits->min_bytes, limits->max_bytes);
}

static uint64_t shrink(
	struct dynmem_policy *policy, const struct dynmem_sample *sample, uint64_t wish_bytes)
{
	const uint64_t assigned = sample->assigned_bytes;
	uint64_t step, target;

	if (!policy->shrinking) {
		policy->shrinking = true;
		policy->since_ns = sample->now_ns;
		policy->peak_bytes = 0;
	}
	policy->peak_bytes = MAX(policy->peak_bytes, wish_bytes);
	if (sample->now_ns < policy->rest_until_ns ||
		sample->now_ns - policy->since_ns < SHRINK_WAIT_NS)
		return assigned;
	step = MAX(assigned / SHRINK_STEP_SHARE, SHRINK_MIN_BYTES);
	target = MAX(policy->peak_bytes, assigned > step ? ALIGN_UP(assigned - step, STEP) : 0);
	policy->since_ns = sample->now_ns;
	policy->peak_bytes = 0;
	return MIN(target, assigned);
}

uint64_t dynmem_policy_target(struct dynmem_policy *policy, const struct dynmem_limits *limits,
	const struct dynmem_sample *sample)
{
	const uint64_t assigned = sample->assigned_bytes;
	uint64_t wish_bytes = wish(limits, sample);

	if (assigned > limits->max_bytes)
		return limits->max_bytes;
	if (assigned < limits->min_bytes)
		return limits->min_bytes;
	if (wish_bytes > assigned + MAX(assigned / GROW_SHARE, GROW_MIN_BYTES)) {
		policy->shrinking = false;
		policy->rest_until_ns = MAX(policy->rest_until_ns, sample->now_ns + REST_GROWN_NS);
		return wish_bytes;
	}
	if (wish_bytes + MAX(assigned / SHRINK_SHARE, SHRINK_MIN_BYTES) < assigned)
		return shrink(policy, sample, wish_bytes);
	policy->shrinking = false;
	return assigned;
}

void dynmem_policy_refused(struct dynmem_policy *policy, uint64_t now_ns)
{
	policy->rest_until_ns = MAX(policy->rest_until_ns, now_ns + REST_REFUSED_NS);
}
