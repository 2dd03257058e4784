"""Names of W&B's that are not here: whoever asks for one is told what there is instead."""

from __future__ import annotations

__all__ = ["not_here"]

_FILES = "files are not kept as versioned artifacts; keep them with run.save(path)"
_KEPT = "what run.save kept lies in the folder `saved` of run.folder"
_SWEEPS = "there are no sweeps; give runs that belong together a group, as in init(group=…)"
_FIGURE = "log a Matplotlib figure, or the page that it makes, as runcast.Html"
_CALLBACK = "what the library writes for TensorBoard is recorded by itself with init(sync_tensorboard=True)"
_PAGE = "a run's page is at run.url when it is sent to a server; `runcast show` prints it"
_PRINT = "use print or logging; what is printed is recorded"

_OF_RUN = {
    **dict.fromkeys(("log_artifact", "log_model", "upsert_artifact", "finish_artifact"), _FILES),
    **dict.fromkeys(("use_artifact", "use_model", "restore"), _KEPT),
    **dict.fromkeys(("link_artifact", "link_model"), "there is no registry; tell runs apart with run.tags"),
    **dict.fromkeys(("display", "to_html"), _PAGE),
    "write_logs": _PRINT,
    "join": "it is run.finish()",
    "delete": "remove run.folder after its end",
    "settings": "settings are arguments of init",
    "config_static": "it is run.config",
    "pin_config_keys": _PAGE,
}

_OF_MODULE = {
    "Artifact": _FILES,
    **dict.fromkeys(("apis", "PublicApi", "InternalApi"), "it is runcast.Api, which asks a server of runcast's"),
    **dict.fromkeys(("sweep", "agent", "controller", "launch"), _SWEEPS),
    **dict.fromkeys(
        ("plot", "plots", "plot_table", "Plotly", "Bokeh", "Graph", "visualize", "viz"),
        _FIGURE,
    ),
    **dict.fromkeys(
        ("Object3D", "Molecule", "box3d"), "TensorBoard shows meshes that SummaryWriter.add_mesh writes, which are recorded"
    ),
    **dict.fromkeys(("Classes", "JoinedTable"), "tables are lists of rows; see runcast.Table"),
    **dict.fromkeys(
        (
            "integration", "keras", "lightning", "lightgbm", "sklearn", "xgboost", "fastai", "catboost", "sb3", "gym",
            "tensorflow", "WandbCallback", "wandb_torch", "jupyter", "sdk",
        ),
        _CALLBACK,
    ),
    **dict.fromkeys(("termlog", "termwarn", "termerror"), _PRINT),
    "util": "init makes an id by itself; resume='auto' finds an earlier run's",
    **dict.fromkeys(("Error", "UsageError", "CommError"), "errors stand in runcast.errors, and RuncastError is all of them"),
    **dict.fromkeys(("setup", "teardown", "require", "ensure_configured"), "nothing has to be set up; leave it out"),
    "join": "it is runcast.finish()",
    "sync": "runs are recorded as they go",
}  # fmt: skip


def not_here(name: str, *, of_run: bool) -> str | None:
    """Return what to say of a name that W&B has, of its runs or of its module; None for one that it has not either."""
    advice = _OF_RUN.get(name) if of_run else _OF_MODULE.get(name) or _OF_RUN.get(name)
    if advice is None:
        return None
    return f"{'run' if of_run else 'runcast'}.{name} is W&B's, and not here: {advice}"
