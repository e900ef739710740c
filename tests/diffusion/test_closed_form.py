"""The samplers against the closed form of the linear-Gaussian case, and proof that the test can fail."""

from __future__ import annotations

import numpy as np
import pytest
from closed_form import SX, UNIT_N, WHITE, Field, Scan, average, fresh

from medidiff.diffusion import (
    Bridge,
    Matched,
    Mixing,
    NoisyTarget,
    VariancePreserving,
    geo,
    karras,
    mean,
    natural,
    quad,
    sample,
    uniform,
)

DB = 0.02


def check(found: tuple[float, ...], expected: tuple[str, ...]) -> None:
    """dPSNR within 0.02 dB, the others to the digits printed in the table.

    A little over half a unit of the last digit, for the table is rounded from three digits (.6547, .66).
    """
    assert found[0] == pytest.approx(float(expected[0]), abs=DB)
    for value, text in zip(found[1:], expected[1:], strict=False):
        assert value == pytest.approx(float(text), abs=0.6 * 10.0 ** -len(text.partition(".")[2]))


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan(65.0)


@pytest.mark.parametrize(
    ("sigma", "row"), [(25, ("3.88",)), (65, ("8.83", ".057", ".932", "2.41")), (150, ("13.93",))]
)
def test_mean(sigma: float, row: tuple[str, ...]) -> None:
    case = Scan(sigma)
    estimate = mean(case.denoised(), case.y, Matched(sigma))
    check(case.figures(estimate.image), row)
    assert estimate.variance == pytest.approx((estimate.image - case.x).variance, rel=1e-12)
    assert estimate.evaluations == 1


@pytest.mark.parametrize(
    ("levels", "row"),
    [
        (quad(2), ("8.50", ".36", ".83", ".88")),
        (quad(3), ("8.29", ".50", ".81", ".61")),
        (quad(4), ("8.14", ".58", ".79", ".47")),
        (quad(8), ("7.87", ".76", ".76", ".24")),
        (geo(3), ("8.27", ".54", ".80", ".57")),
        (geo(4), ("8.10", ".63", ".78", ".41")),
        (geo(8), ("7.86", ".75", ".76", ".24")),
    ],
)
def test_natural(scan: Scan, levels: tuple[float, ...], row: tuple[str, ...]) -> None:
    estimate = natural(scan.denoised(), scan.y, Matched(scan.sigma), levels)
    check(scan.figures(estimate.image), row)
    assert estimate.evaluations == len(levels) - 1


@pytest.mark.parametrize(("sigma", "gain"), [(25, 3.12), (65, 7.52), (150, 12.33)])
def test_natural_tends_to_the_optimal_transport_map(sigma: float, gain: float) -> None:
    """The ODE's limit is sqrt(Sx / (Sx + N)) y; Euler's error is of first order in the step."""
    case = Scan(sigma)
    out = natural(case.denoised(), case.y, Matched(sigma), geo(1500, 1e-4)).image
    assert case.figures(out)[0] == pytest.approx(gain, abs=DB)
    assert np.max(np.abs(out.gains["x"] - np.sqrt(case.w))) < 0.02


@pytest.mark.parametrize(
    ("with_v", "steps", "row", "identities"),
    [
        (False, 4, ("7.46", ".48", ".96", ".69"), None),
        (False, 8, ("6.74", ".66", ".975", ".38"), (1.62, 0.62)),
        (False, 16, ("6.36", ".75", ".985", ".24"), (1.77, 0.77)),
        (True, 4, ("6.27", "1.16", ".987", ".12"), None),
        (True, 8, ("6.08", "1.06", ".992", ".05"), (1.88, 0.88)),
        (True, 16, ("5.96", "1.03", ".996", ".03"), (1.94, 0.94)),
    ],
)
def test_sample(
    scan: Scan, with_v: bool, steps: int, row: tuple[str, ...], identities: tuple[float, float] | None
) -> None:
    out = sample(scan.denoised(with_v), scan.y, Matched(scan.sigma), geo(steps), noise=fresh(UNIT_N)).image
    check(scan.figures(out), row)
    if identities:  # MSE(sample) / MSE(mean) and sample variance / MSE(mean)
        mse = average(scan.V)
        assert (out - scan.x).variance / mse == pytest.approx(identities[0], abs=0.0051)
        assert out.part("e") / mse == pytest.approx(identities[1], abs=0.0051)


@pytest.mark.parametrize(("sigma", "gain"), [(25, 0.87), (65, 5.82), (150, 10.92)])
def test_sample_tends_to_the_posterior(sigma: float, gain: float) -> None:
    """A sample has twice the error of the mean; the step's error is of first order, so extrapolate."""
    case = Scan(sigma)

    def error(steps: int) -> float:
        levels = geo(steps, 1e-3)
        out = sample(case.denoised(False), case.y, Matched(sigma), levels, noise=fresh(UNIT_N)).image
        return (out - case.x).variance

    limit = 2 * error(161) - error(81)  # 160 and 80 equal steps in ln t
    assert limit / average(case.V) == pytest.approx(2.0, rel=0.004)
    assert 10 * np.log10(average(case.N) / limit) == pytest.approx(gain, abs=DB)


@pytest.mark.parametrize(("draws", "gain"), [(2, 7.07), (4, 7.86), (8, 8.32), (16, 8.57)])
def test_mean_of_posterior_samples(scan: Scan, draws: int, gain: float) -> None:
    """1 + 1/M of the posterior variance, for exact samples w y + e with e of spectrum V."""
    exact = [scan.y.filtered(scan.w) + Field({f"e{i}": 1.0}, {f"e{i}": scan.V}) for i in range(draws)]
    averaged = sum(exact[1:], exact[0]) / draws
    assert scan.figures(averaged)[0] == pytest.approx(gain, abs=DB)


@pytest.mark.parametrize(
    ("steps", "row"),
    [
        (4, ("7.22", ".42", ".97", ".87")),
        (8, ("6.43", ".67", ".995", ".41")),
        (16, ("6.05", ".82", "1.01", ".22")),
        (32, ("5.86", ".90", "1.01", ".13")),
    ],
)
def test_conditional_ddpm_is_white_edm_given_the_scan(scan: Scan, steps: int, row: tuple[str, ...]) -> None:
    """The VP process with eta = 0, network units of 100 HU, levels chosen by sigma = gamma / alpha."""
    unit = 100.0
    process = VariancePreserving()

    def denoised(x: tuple[Field, Field], sigma: float) -> tuple[Field, None]:
        state, y = x
        posterior_mean = y.filtered(scan.w)
        share = scan.V / (scan.V + (unit * sigma) ** 2)
        return posterior_mean + (state - posterior_mean).filtered(share), None

    levels = [process.level(s / unit) if s else 0.0 for s in karras(steps, 400.0, 2.0)]
    assert [unit * process.time(s) for s in levels] == pytest.approx(karras(steps, 400.0, 2.0), rel=1e-9)
    out = natural(denoised, scan.y / unit, process, levels, noise=fresh(WHITE)).image * unit
    check(scan.figures(out), row)


@pytest.mark.parametrize(
    ("steps", "row"), [(4, ("7.63", ".19", ".95", "2.12")), (8, ("7.14", ".30", ".955", "1.67"))]
)
def test_white_bridge(scan: Scan, steps: int, row: tuple[str, ...]) -> None:
    process = Bridge(scan.sigma, b=40.0)
    levels = uniform(steps)
    s_of_t = {process.time(s): s for s in levels}

    def denoised(x: Field, t: float) -> tuple[Field, None]:
        s = s_of_t[t]
        return x.filtered(SX / (SX + s**2 * scan.N + process.coef(s).gamma ** 2)), None

    check(scan.figures(sample(denoised, scan.y, process, levels, noise=fresh(WHITE)).image), row)


def test_cold_mixing_with_an_exact_estimate_needs_no_steps(scan: Scan) -> None:
    """A cold chain rebuilds its states from x0_hat and y; InDI's step is that of the matched ODE."""
    indi = natural(scan.denoised(), scan.y, Mixing(scan.sigma, "indi"), quad(4)).image
    ode = natural(scan.denoised(), scan.y, Matched(scan.sigma), quad(4)).image
    assert (indi - ode).variance == pytest.approx(0.0, abs=1e-18)
    cold = natural(scan.denoised(), scan.y, Mixing(scan.sigma, "cold"), quad(4)).image
    assert (cold - ode).variance > 1.0


@pytest.mark.parametrize(("a", "vs_noisy", "vs_clean"), [(0.1, 6.62, 8.55), (0.25, 4.58, 7.32)])
def test_noisy_target(scan: Scan, a: float, vs_noisy: float, vs_clean: float) -> None:
    """What a network trained naively on a noisy reference gives, and the repair."""
    n_f = Field({"f": 1.0}, {"f": a * scan.N})
    n_ins = Field({"i": 1.0}, {"i": (1 - a) * scan.N})
    reference = scan.x + n_f
    y = reference + n_ins
    naive = y.filtered((SX + a * scan.N) / (SX + scan.N))
    base = n_ins.variance

    def against(truth: Field, out: Field, noise: float) -> float:
        return float(10 * np.log10(noise / (out - truth).variance))

    assert against(reference, naive, base) == pytest.approx(vs_noisy, abs=DB)
    assert against(scan.x, naive, average(scan.N)) == pytest.approx(vs_clean, abs=DB)
    target = NoisyTarget(scan.sigma * a**0.5, scan.sigma * (1 - a) ** 0.5)
    assert target.a == pytest.approx(a)
    assert target.t == pytest.approx(scan.sigma)
    repaired = target.target(naive, y)
    assert against(scan.x, repaired, average(scan.N)) == pytest.approx(8.83, abs=DB)
    clean = mean(scan.denoised(), y, Matched(scan.sigma)).image
    mean_ref = clean + a * (y - clean)  # what `--strength` 1 - a gives
    assert against(reference, mean_ref, base) == pytest.approx(vs_noisy, abs=DB)
    assert (mean_ref - naive).variance == pytest.approx(0.0, abs=1e-18)
    # The ceiling: error of mean_ref and of mean against the noisy reference.
    sigma_f2, V = a * scan.sigma**2, average(scan.V)
    assert (mean_ref - reference).variance == pytest.approx((1 - a) ** 2 * V + (1 - a) * sigma_f2)
    assert (clean - reference).variance == pytest.approx((1 - 2 * a) * V + sigma_f2)
    # Excess variance of the corrected target about the estimate.
    expected = V + target.excess_variance
    assert (target.target(reference, y) - clean).variance == pytest.approx(expected)


def test_strength_is_one_euler_step(scan: Scan) -> None:
    process = Matched(scan.sigma)
    d = mean(scan.denoised(), scan.y, process).image
    stepped = natural(scan.denoised(), scan.y, process, (1.0, 0.4)).image
    assert (d + 0.4 * (scan.y - d) - stepped).variance == pytest.approx(0.0, abs=1e-18)


def test_sample_stopped_at_rho_is_an_equivalent_dose_scan(scan: Scan) -> None:
    """Its marginal power is that of a scan at rho times the noise."""
    rho = 0.5
    levels = tuple(1.0 - (1.0 - rho) * i / 400 for i in range(401))
    out = sample(scan.denoised(False), scan.y, Matched(scan.sigma), levels, noise=fresh(UNIT_N)).image
    assert out.power == pytest.approx(SX + rho**2 * scan.N, rel=0.02)


class SlowRatio(Matched):
    """Wrong: keeps t'/t of the residual while injecting noise."""

    def step(self, x_s, x0_hat, y, s, s_next, eta=0.0, *, rng=None, noise=None, v=None):  # type: ignore[no-untyped-def]
        x = x0_hat + (s_next / s) * (x_s - x0_hat)
        return x + self.t_y * s_next * eta * noise(rng)


class NoLastV(Matched):
    """Wrong: leaves out the variance term of the last step."""

    def step(self, x_s, x0_hat, y, s, s_next, eta=0.0, *, rng=None, noise=None, v=None):  # type: ignore[no-untyped-def]
        v = v if s_next else None
        return super().step(x_s, x0_hat, y, s, s_next, eta, rng=rng, noise=noise, v=v)


class SquaredShare(Matched):
    """Wrong: an eta that gives noise of SD t' (1 - r) instead of t' sqrt(1 - r)."""

    def ancestral(self, s: float, s_next: float) -> float:
        return 1.0 - (s_next / s) ** 2


@pytest.mark.parametrize("wrong", [SlowRatio, NoLastV, SquaredShare])
def test_a_wrong_step_misses_the_table(scan: Scan, wrong: type[Matched]) -> None:
    out = sample(scan.denoised(), scan.y, wrong(scan.sigma), geo(8), noise=fresh(UNIT_N)).image
    assert abs(scan.figures(out)[0] - 6.08) > 2 * DB


def test_wrong_noise_colour_and_wrong_schedule_miss_the_table(scan: Scan) -> None:
    process = Matched(scan.sigma)
    white = sample(scan.denoised(), scan.y, process, geo(8), noise=fresh(WHITE)).image
    assert abs(scan.figures(white)[1] - 1.06) > 0.05
    even = natural(scan.denoised(), scan.y, process, uniform(4)).image
    assert abs(scan.figures(even)[0] - 8.14) > 2 * DB
