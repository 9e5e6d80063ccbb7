"""Display names of functions whose whole description is their name and their literals."""

ACTIVATIONS = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "prelu": "PReLU",
    "rrelu": "RReLU", "elu": "ELU", "selu": "SELU", "celu": "CELU", "gelu": "GELU",
    "silu": "SiLU", "mish": "Mish", "sigmoid": "Sigmoid", "logsigmoid": "LogSigmoid",
    "tanh": "Tanh", "softplus": "Softplus", "softsign": "Softsign", "softmin": "Softmin",
    "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "hardtanh": "Hardtanh",
    "hardshrink": "Hardshrink", "softshrink": "Softshrink", "tanhshrink": "Tanhshrink",
    "threshold": "Threshold", "glu": "GLU", "softmax": "Softmax", "log_softmax": "LogSoftmax",
    "gumbel_softmax": "GumbelSoftmax",
}  # fmt: skip

ARITHMETIC = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "floor_divide": "FloorDiv",
    "remainder": "Remainder", "fmod": "Fmod", "pow": "Pow", "neg": "Neg", "abs": "Abs",
    "sign": "Sign", "exp": "Exp", "exp2": "Exp2", "expm1": "Expm1", "log": "Log",
    "log1p": "Log1p", "log2": "Log2", "log10": "Log10", "sqrt": "Sqrt", "rsqrt": "Rsqrt",
    "square": "Square", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "atan2": "Atan2", "sinh": "Sinh",
    "cosh": "Cosh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "round": "Round",
    "trunc": "Trunc", "frac": "Frac", "clamp": "Clamp", "clamp_min": "ClampMin",
    "clamp_max": "ClampMax", "maximum": "Maximum", "minimum": "Minimum", "where": "Where",
    "lerp": "Lerp", "addcmul": "Addcmul", "addcdiv": "Addcdiv", "positive": "Identity",
    "nan_to_num": "NanToNum", "masked_fill": "MaskedFill", "logit": "Logit", "rsub": "Rsub",
    "real": "Real", "imag": "Imag", "view_as_real": "ViewAsReal", "angle": "Angle",
    "view_as_complex": "ViewAsComplex", "polar": "Polar", "conj": "Conj", "asinh": "Asinh",
    "acosh": "Acosh", "atanh": "Atanh", "sinc": "Sinc", "erfc": "Erfc", "erfinv": "Erfinv",
    "hypot": "Hypot", "copysign": "CopySign", "nextafter": "NextAfter", "heaviside": "Heaviside",
    "logaddexp": "LogAddExp", "logaddexp2": "LogAddExp2", "xlogy": "XLogY", "sgn": "Sgn",
    "lgamma": "LGamma", "digamma": "Digamma", "deg2rad": "Deg2Rad", "rad2deg": "Rad2Deg",
    "fmax": "Fmax", "fmin": "Fmin", "float_power": "FloatPower", "ldexp": "Ldexp",
}  # fmt: skip

LOGIC = {
    "eq": "Equal", "ne": "NotEqual", "lt": "Less", "le": "LessEqual", "gt": "Greater",
    "ge": "GreaterEqual", "logical_and": "And", "logical_or": "Or", "logical_not": "Not",
    "logical_xor": "Xor", "bitwise_and": "BitAnd", "bitwise_or": "BitOr",
    "bitwise_not": "BitNot", "bitwise_xor": "BitXor", "isnan": "IsNan", "isinf": "IsInf",
    "isfinite": "IsFinite", "signbit": "SignBit", "isclose": "IsClose", "isin": "IsIn",
    "bitwise_left_shift": "ShiftLeft", "bitwise_right_shift": "ShiftRight",
}  # fmt: skip

REDUCTIONS = {
    "sum": "Sum", "mean": "Mean", "prod": "Prod", "max": "Max", "min": "Min", "amax": "AMax",
    "amin": "AMin", "argmax": "ArgMax", "argmin": "ArgMin", "std": "Std", "var": "Var",
    "var_mean": "VarMean", "std_mean": "StdMean", "norm": "Norm",
    "linalg_vector_norm": "VectorNorm", "normalize": "Normalize", "logsumexp": "LogSumExp",
    "cumsum": "CumSum", "cumprod": "CumProd", "any": "Any", "all": "All", "median": "Median",
    "bincount": "BinCount", "count_nonzero": "CountNonzero", "cummax": "CumMax", "cummin": "CumMin",
    "logcumsumexp": "LogCumSumExp", "nansum": "NanSum", "nanmean": "NanMean", "aminmax": "AMinMax",
    "quantile": "Quantile", "histc": "Histogram", "trace": "Trace", "diff": "Diff",
}  # fmt: skip

SHAPES = {
    "reshape": "Reshape", "view": "View", "flatten": "Flatten", "unflatten": "Unflatten",
    "permute": "Permute", "transpose": "Transpose", "t": "Transpose", "T": "Transpose",
    "mT": "Transpose", "adjoint": "Adjoint", "movedim": "MoveDim", "squeeze": "Squeeze",
    "unsqueeze": "Unsqueeze", "expand": "Expand", "expand_as": "ExpandAs", "repeat": "Repeat",
    "repeat_interleave": "RepeatInterleave", "tile": "Tile", "broadcast_to": "BroadcastTo",
    "broadcast_tensors": "BroadcastTensors", "flip": "Flip", "fliplr": "FlipLR", "roll": "Roll",
    "rot90": "Rot90", "getitem": "Slice", "setitem": "SliceAssign", "narrow": "Narrow",
    "select": "Select", "cat": "Concat", "stack": "Stack", "hstack": "HStack",
    "vstack": "VStack", "split": "Split", "split_with_sizes": "Split", "chunk": "Chunk",
    "unbind": "Unbind", "tensor_split": "TensorSplit", "unfold": "Unfold", "fold": "Fold",
    "contiguous": "Contiguous", "clone": "Copy", "detach": "Detach", "to": "Cast",
    "float": "Cast", "half": "Cast", "long": "Cast", "int": "Cast", "bool": "Cast",
    "double": "Cast", "bfloat16": "Cast", "type": "Cast", "copy": "CopyInto",
    "as_strided": "AsStrided", "view_as": "ViewAs", "reshape_as": "ReshapeAs",
    "atleast_1d": "AtLeast1d", "meshgrid": "MeshGrid", "diagonal": "Diagonal", "triu": "Triu",
    "tril": "Tril", "as_strided_scatter": "AsStridedScatter", "assemble": "Assemble",
    "diag": "Diag", "diag_embed": "DiagEmbed", "pad_sequence": "PadSequence",
    "ravel": "Flatten", "lift_fresh": "Identity", "requires_grad": "Identity",
}  # fmt: skip

INDEXING = {
    "gather": "Gather", "scatter": "Scatter", "scatter_add": "ScatterAdd",
    "scatter_reduce": "ScatterReduce", "index_select": "IndexSelect", "index": "Index",
    "index_put": "IndexPut", "index_add": "IndexAdd", "index_copy": "IndexCopy",
    "index_fill": "IndexFill", "take": "Take", "take_along_dim": "TakeAlongDim",
    "masked_select": "MaskedSelect", "masked_scatter": "MaskedScatter", "nonzero": "NonZero",
    "topk": "TopK", "sort": "Sort", "argsort": "ArgSort", "kthvalue": "KthValue",
    "unique": "Unique", "searchsorted": "SearchSorted", "bucketize": "Bucketize",
    "argwhere": "ArgWhere", "one_hot": "OneHot", "fill": "Fill", "zero": "Zero",
}  # fmt: skip

FACTORIES = {
    "zeros": "Zeros", "ones": "Ones", "full": "Full", "empty": "Empty", "arange": "Arange",
    "linspace": "Linspace", "eye": "Eye", "zeros_like": "ZerosLike", "ones_like": "OnesLike",
    "full_like": "FullLike", "empty_like": "EmptyLike", "new_zeros": "NewZeros",
    "new_ones": "NewOnes", "new_full": "NewFull", "new_empty": "NewEmpty", "tensor": "Constant",
    "as_tensor": "Constant", "new_tensor": "Constant", "scalar_tensor": "Constant",
    "asarray": "Constant",
    "rand": "Rand", "randn": "Randn", "rand_like": "RandLike", "randn_like": "RandnLike",
    "randint": "RandInt", "randperm": "RandPerm", "bernoulli": "Bernoulli", "normal": "Normal",
    "uniform": "Uniform", "dropout": "Dropout", "dropout1d": "Dropout1d",
    "dropout2d": "Dropout2d", "dropout3d": "Dropout3d", "alpha_dropout": "AlphaDropout",
    "feature_alpha_dropout": "FeatureAlphaDropout", "empty_strided": "Empty",
    "hann_window": "HannWindow", "multinomial": "Multinomial",
}  # fmt: skip

PRODUCTS = {
    "matmul": "MatMul", "mm": "MatMul", "bmm": "BatchMatMul", "mv": "MatVec", "dot": "Dot",
    "addmm": "AddMatMul", "baddbmm": "BatchAddMatMul", "addmv": "AddMatVec", "outer": "Outer",
    "einsum": "Einsum", "tensordot": "TensorDot", "bilinear": "Bilinear", "cdist": "CDist",
    "cosine_similarity": "CosineSimilarity", "pairwise_distance": "PairwiseDistance",
    "kron": "Kron", "cross": "Cross", "linalg_cross": "Cross", "linalg_inv": "Inverse",
    "linalg_norm": "Norm", "linalg_solve": "Solve", "linalg_svd": "SVD", "linalg_qr": "QR",
    "linalg_det": "Determinant", "linalg_cholesky": "Cholesky", "cholesky_solve": "CholeskySolve",
    "linalg_eigh": "Eigh", "linalg_matrix_exp": "MatrixExp",
}  # fmt: skip

IMAGES = {
    "pixel_shuffle": "PixelShuffle", "pixel_unshuffle": "PixelUnshuffle",
    "channel_shuffle": "ChannelShuffle", "interpolate": "Interpolate",
    "upsample_nearest": "Interpolate", "upsample_bilinear": "Interpolate",
    "grid_sample": "GridSample", "affine_grid": "AffineGrid", "pad": "Pad",
    "local_response_norm": "LocalResponseNorm", "nms": "NonMaxSuppression",
    "roi_align": "RoIAlign", "roi_pool": "RoIPool", "ps_roi_align": "PSRoIAlign",
    "deform_conv2d": "DeformConv2d", "max_unpool1d": "MaxUnpool1d",
    "max_unpool2d": "MaxUnpool2d", "max_unpool3d": "MaxUnpool3d", "lp_pool1d": "LPPool1d",
    "lp_pool2d": "LPPool2d", "lp_pool3d": "LPPool3d", "stochastic_depth": "StochasticDepth",
    "fractional_max_pool2d": "FractionalMaxPool2d",
    "fractional_max_pool3d": "FractionalMaxPool3d", "stft": "STFT", "istft": "ISTFT",
    "fft_fft": "FFT", "fft_ifft": "IFFT", "fft_rfft": "RFFT", "fft_irfft": "IRFFT",
    "fft_fft2": "FFT2", "fft_ifft2": "IFFT2", "fft_rfft2": "RFFT2", "fft_irfft2": "IRFFT2",
    "fft_fftn": "FFTN", "fft_ifftn": "IFFTN", "fft_rfftn": "RFFTN", "fft_irfftn": "IRFFTN",
}  # fmt: skip

PLAIN = {
    **ACTIVATIONS, **ARITHMETIC, **LOGIC, **REDUCTIONS, **SHAPES, **INDEXING, **FACTORIES,
    **PRODUCTS, **IMAGES,
}  # fmt: skip
CUSTOM = ("nms", "roi_align", "roi_pool", "ps_roi_align", "deform_conv2d", "stochastic_depth")
