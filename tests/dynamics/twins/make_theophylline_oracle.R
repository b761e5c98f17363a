# Makes theophylline.json: the twelve patients of R's Theoph, fitted one by one by R's nls with its model SSfol, with
# profile intervals of the logarithms. Rscript tests/dynamics/twins/make_theophylline_oracle.R > theophylline.json
subjects <- unique(as.character(Theoph$Subject))
out <- sapply(subjects, function(s) {
  own <- Theoph[Theoph$Subject == s, ]
  dose <- own$Dose[1]
  own$D <- ifelse(own$Time == 0, dose, 0)
  fit <- tryCatch(nls(conc ~ SSfol(Dose, Time, lKe, lKa, lCl), data = own), error = function(e) NULL)
  if (is.null(fit)) return(NA_character_)
  est <- coef(fit)
  ends <- tryCatch(suppressMessages(confint(fit)), error = function(e) matrix(NA, 3, 2))
  sprintf('{"subject": "%s", "dose": %.10g, "time": [%s], "conc": [%s], "lKe": %.8f, "lKa": %.8f, "lCl": %.8f, "ke": [%s], "ka": [%s]}',
    s, dose, paste(own$Time, collapse = ", "), paste(own$conc, collapse = ", "), est["lKe"], est["lKa"], est["lCl"],
    paste(ifelse(is.na(ends[1, ]), "null", sprintf("%.6f", ends[1, ])), collapse = ", "),
    paste(ifelse(is.na(ends[2, ]), "null", sprintf("%.6f", ends[2, ])), collapse = ", "))
})
cat(sprintf('{"R": "%s", "patients": [%s]}\n', getRversion(), paste(out[!is.na(out)], collapse = ",\n")))
