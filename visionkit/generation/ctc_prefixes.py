"""The loops of prefix beam search, compiled by numba: prefixes are nodes of a tree, whose root is the empty one."""

import math

import numba
import numpy as np

_compiled = numba.njit(cache=True, nogil=True)


@_compiled
def log_add(a: float, b: float) -> float:
    """Logarithm of the sum of what two logarithms stand for."""
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + math.log1p(math.exp(b - a))


@_compiled
def follow(first, tokens, log_probs, targets, backoff, shorter, unseen, state, token):  # type: ignore[no-untyped-def]
    """As of ``ngram_lm.follow``, over the tables' arrays."""
    total = 0.0
    while state >= 0:
        low, high = first[state], first[state + 1]
        while low < high:
            middle = (low + high) // 2
            if tokens[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < first[state + 1] and tokens[low] == token:
            return total + log_probs[low], targets[low]
        total += backoff[state]
        state = shorter[state]
    return total + unseen, 0


@_compiled
def insert(keys, entries, kept, key, beam, token):  # type: ignore[no-untyped-def]
    """Puts a candidate into the sorted best ones, if it is one of them; their new number."""
    place = kept
    if kept == len(keys):
        if not key > keys[kept - 1]:
            return kept
        place = kept - 1
    while place > 0 and keys[place - 1] < key:
        keys[place] = keys[place - 1]
        entries[place] = entries[place - 1]
        place -= 1
    keys[place] = key
    entries[place, 0], entries[place, 1] = beam, token
    return min(kept + 1, len(keys))


@_compiled
def child_of(tree, node, token, count):  # type: ignore[no-untyped-def]
    """The node of a prefix with one token more, and the number of nodes; rows of the tree as in ``search``."""
    child = tree[2, node]
    while child >= 0:
        if tree[1, child] == token:
            return child, count
        child = tree[3, child]
    tree[0, count], tree[1, count], tree[2, count], tree[3, count] = node, token, -1, tree[2, node]
    tree[2, node] = count
    return count, count + 1


@_compiled
def search(  # type: ignore[no-untyped-def]
    frames, blank, width, weight, bonus, first, lm_tokens, lm_log_probs, targets, backoff, shorter, begin, unseen
):
    """The best prefixes after all frames: their nodes, parents and tokens of all nodes, log P and score of the best."""
    length, vocabulary = frames.shape
    room = 1 + length * width
    tree = np.full((4, room), -1, np.int64)  # parent, token, first child, next sibling
    states, bonuses, where = np.full(room, begin), np.zeros(room), np.full(room, -1, np.int64)
    count = 1
    nodes = np.zeros(width, np.int64)
    blanks, labels = np.full(width, -np.inf), np.full(width, -np.inf)  # paths that end in a blank, in a token
    blanks[0], kept = 0.0, 1
    keys, entries = np.empty(width), np.empty((width, 2), np.int64)
    for frame in range(length):
        now = frames[frame]
        total, stay_blank, stay_label = np.empty(kept), np.empty(kept), np.full(kept, -np.inf)
        for i in range(kept):
            where[nodes[i]] = i
            total[i] = log_add(blanks[i], labels[i])
            stay_blank[i] = total[i] + now[blank]
            if nodes[i] > 0:
                stay_label[i] = labels[i] + now[tree[1, nodes[i]]]
        merged = np.zeros((kept, vocabulary), np.bool_)
        for j in range(kept):  # a prefix whose parent is in the beam, too, is also reached from there
            parent = tree[0, nodes[j]]
            if parent >= 0 and where[parent] >= 0:
                i, token = where[parent], tree[1, nodes[j]]
                source = blanks[i] if tree[1, parent] == token else total[i]
                stay_label[j] = log_add(stay_label[j], source + now[token])
                merged[i, token] = True
        best = 0
        for i in range(kept):
            key = log_add(stay_blank[i], stay_label[i]) + bonuses[nodes[i]]
            if key > -np.inf:
                best = insert(keys, entries, best, key, i, -1)
        for i in range(kept):
            node = nodes[i]
            for token in range(vocabulary):
                if token == blank or merged[i, token]:
                    continue
                source = blanks[i] if tree[1, node] == token else total[i]
                key = source + now[token] + bonuses[node] + bonus
                if key == -np.inf or (best == width and key <= keys[best - 1]):
                    continue  # a language model can only lower it
                if weight != 0:
                    log_prob, _ = follow(
                        first, lm_tokens, lm_log_probs, targets, backoff, shorter, unseen, states[node], token
                    )
                    key += weight * log_prob
                best = insert(keys, entries, best, key, i, token)
        new_nodes, new_blanks, new_labels = np.empty(width, np.int64), np.full(width, -np.inf), np.full(width, -np.inf)
        for i in range(kept):
            where[nodes[i]] = -1
        for n in range(best):
            i, token = entries[n, 0], entries[n, 1]
            node = nodes[i]
            if token < 0:
                new_nodes[n], new_blanks[n], new_labels[n] = node, stay_blank[i], stay_label[i]
                continue
            child, grown = child_of(tree, node, token, count)
            if grown > count:
                count = grown
                log_prob, states[child] = 0.0, 0
                if weight != 0:
                    log_prob, states[child] = follow(
                        first, lm_tokens, lm_log_probs, targets, backoff, shorter, unseen, states[node], token
                    )
                bonuses[child] = bonuses[node] + bonus + weight * log_prob
            source = blanks[i] if tree[1, node] == token else total[i]
            new_nodes[n], new_labels[n] = child, source + now[token]
        nodes, blanks, labels, kept = new_nodes, new_blanks, new_labels, best
    ranks, log_probs = np.empty(kept), np.empty(kept)
    for i in range(kept):
        log_probs[i] = log_add(blanks[i], labels[i])
        ranks[i] = log_probs[i] + bonuses[nodes[i]]
        if weight != 0:
            ends, _ = follow(first, lm_tokens, lm_log_probs, targets, backoff, shorter, unseen, states[nodes[i]], 0)
            ranks[i] += weight * ends
    return nodes[:kept], tree[0], tree[1], log_probs, ranks
