"""How alike two lists order the same things."""


def ranks(values):
    """From 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    result = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for i in order[begin:end]:
            result[i] = (begin + 1 + end) / 2
        begin = end
    return result


def spearman(a, b):
    """Pearson's correlation of the ranks; None where one list is all equal."""
    x, y = ranks(a), ranks(b)
    mean = (len(x) + 1) / 2
    across = sum((p - mean) * (q - mean) for p, q in zip(x, y))
    spread = sum((p - mean) ** 2 for p in x) * sum((q - mean) ** 2 for q in y)
    return across / spread ** 0.5 if spread > 0 else None


def kendall(a, b, apart=0.0):
    """Kendall's tau-b ("The treatment of ties in ranking problems", Biometrika 1945), over the pairs that lie more than
    the share `apart` apart in `b`; None without any. Also how many pairs those are, and how many are the wrong way
    round."""
    pairs = agreed = wrong = tied_a = tied_b = 0
    for i in range(len(a)):
        for j in range(i):
            low, high = sorted((b[i], b[j]))
            if apart > 0 and high <= (1 + apart) * low:
                continue
            pairs += 1
            sign = (a[i] - a[j]) * (b[i] - b[j])
            agreed += sign > 0
            wrong += sign < 0
            tied_a += a[i] == a[j]
            tied_b += b[i] == b[j]
    spread = (pairs - tied_a) * (pairs - tied_b)
    return (agreed - wrong) / spread ** 0.5 if spread > 0 else None, pairs, wrong
