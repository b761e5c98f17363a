# Writes fixtures/r.json: data sets with ties and the values that R's packages give for them, with their versions.
#
# Run `Rscript tests/evaluation/make_fixtures.R` from the root of the repository, with survival, riskRegression, pec,
# rms and jsonlite installed.

suppressMessages({
  library(survival)
  library(riskRegression)
  library(pec)
  library(rms)
  library(jsonlite)
})
RNGversion("4.2.0")
set.seed(20240301)

versions <- list(R = paste(R.version$major, R.version$minor, sep = "."))
for (name in c("survival", "riskRegression", "prodlim", "pec", "rms", "Hmisc", "jsonlite")) {
  versions[[name]] <- as.character(packageVersion(name))
}

# G just before a time, and at it: deaths leave the risk set before anybody is censored.
censoring <- function(time, event, at, before) {
  sapply(at, function(t) {
    u <- sort(unique(time[!event]))
    u <- if (before) u[u < t] else u[u <= t]
    prod(1 - vapply(u, function(s) sum(time == s & !event) / (sum(time >= s) - sum(time == s & event)), 0))
  })
}

survival_case <- function(n, months, decimals, leaving = 0.03) {
  z <- round(rnorm(n), decimals)
  death <- rexp(n, 0.05 * exp(z))
  left <- rexp(n, leaving)
  event <- death <= left
  time <- pmin(death, left)
  if (months) time <- ceiling(time)
  times <- as.numeric(quantile(time[event], c(0.25, 0.5, 0.75)))
  if (months) times <- unique(round(times)) # a horizon at which events and censorings are tied
  risk <- sapply(times, function(t) 1 - exp(-0.05 * t * exp(0.8 * z + 0.1)))
  data <- data.frame(time, event = as.numeric(event), z)
  tau <- max(time[censoring(time, event, time, TRUE) >= 0.1])

  uno <- function(...) {
    as.numeric(concordance(Surv(time, event) ~ z, data, reverse = TRUE, timewt = "n/G2", ...)$concordance)
  }
  score <- Score(list(model = risk), Surv(time, event) ~ 1,
    data = data, times = times, cens.model = "km", cens.method = "ipcw",
    metrics = c("auc", "brier"), summary = c("ibs", "ipa"), se.fit = FALSE, contrasts = FALSE, null.model = TRUE
  )
  brier <- score$Brier$score
  ours <- brier[brier$model == "model", ]
  null <- brier[brier$model == "Null model", ]
  # pec::crps integrates by rectangles: here over the horizons, as `Dint` does
  rectangles <- pec:::Dint(times, ours$Brier, range(times))
  trapezoids <- function(y) sum(diff(times) * (head(y, -1) + tail(y, -1)) / 2) / diff(range(times))

  horizons <- lapply(seq_along(times), function(k) {
    p <- risk[, k]
    died <- as.numeric(time <= times[k] & event)
    v <- ifelse(died == 1, 1 / censoring(time, event, time, TRUE), ifelse(time > times[k],
      1 / censoring(time, event, times[k], FALSE), 0))
    known <- v > 0
    x <- qlogis(p[known])
    y <- died[known]
    w <- v[known]
    control <- glm.control(epsilon = 1e-14, maxit = 100)
    shift <- suppressWarnings(glm(y ~ offset(x), family = binomial, weights = w, control = control))
    line <- suppressWarnings(glm(y ~ x, family = binomial, weights = w, control = control))
    smooth <- loess(y ~ q, data.frame(y, q = p[known], w),
      weights = w, degree = 1, span = 2 / 3, control = loess.control(surface = "direct")
    )
    km <- summary(survfit(Surv(time, event) ~ 1, data), times = times[k], extend = TRUE)$surv
    # Austin, Harrell and van Klaveren 2020: a Cox model of restricted cubic splines of log(-log(1 - p))
    cloglog <- log(-log(1 - p))
    dd <<- datadist(data.frame(cloglog))
    options(datadist = "dd")
    cox <- cph(Surv(time, event) ~ rcs(cloglog, 3), data.frame(data, cloglog), x = TRUE, y = TRUE, surv = TRUE)
    curve <- 1 - survest(cox, newdata = data.frame(cloglog), times = times[k])$surv
    list(
      weight = v,
      intercept = unname(coef(shift)[1]), slope = unname(coef(line)[2]),
      observed_expected = (1 - km) / mean(p), smooth = unname(predict(smooth)),
      ici = sum(w * abs(predict(smooth) - p[known])) / sum(w),
      ici_cox = mean(abs(curve - p)), e90_cox = unname(quantile(abs(curve - p), 0.9))
    )
  })
  list(
    time = time, event = event, risk = z, times = times, survival = 1 - risk, tau = tau,
    uno_c = uno(), uno_c_tau = uno(ymax = tau),
    uno_c_early = uno(ymax = as.numeric(times[2])),
    auc = score$AUC$score$AUC, brier = ours$Brier, brier_null = null$Brier, ipa = ours$IPA,
    rectangles = rectangles, integrated_brier = trapezoids(ours$Brier),
    ipa_integrated = 1 - trapezoids(ours$Brier) / trapezoids(null$Brier),
    G_before = censoring(time, event, time, TRUE), horizons = horizons
  )
}

binary_case <- function(n, decimals) {
  x <- rnorm(n)
  y <- rbinom(n, 1, plogis(-0.4 + x))
  p <- pmin(pmax(round(plogis(0.2 + 1.5 * x), decimals), 0.01), 0.99)
  found <- val.prob(p, y, pl = FALSE)
  shift <- glm(y ~ offset(qlogis(p)), family = binomial, control = glm.control(epsilon = 1e-14, maxit = 100))
  smooth <- lowess(p, y, iter = 0)
  list(
    probability = p, happened = y, lowess = approx(smooth, xout = p, ties = mean)$y,
    intercept_of_line = found[["Intercept"]], slope = found[["Slope"]], ici = found[["Eavg"]],
    e90 = found[["E90"]], brier = found[["Brier"]], intercept = unname(coef(shift)[1]), observed_expected = sum(y) / sum(p)
  )
}

made <- list(
  made_by = "tests/evaluation/make_fixtures.R", versions = versions,
  survival = list(
    survival_case(120, TRUE, 1), survival_case(80, TRUE, 0), survival_case(150, TRUE, 1, 0.15),
    survival_case(100, FALSE, 2)
  ),
  binary = list(binary_case(40, 1), binary_case(150, 2), binary_case(400, 7))
)
writeLines(toJSON(made, digits = NA, auto_unbox = TRUE), "tests/evaluation/fixtures/r.json")
